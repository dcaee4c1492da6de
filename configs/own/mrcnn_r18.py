# Own images of any classes (docs/extending/data_set.md): a small model that learns on two CPU cores. It starts from the
# model that comes with the package, which needs fewer labelled images than random weights (--from-scratch).
_base_ = [
    '../_base_/models/mask_rcnn_r18_small.py',
    '../_base_/datasets/own.py',
    '../_base_/schedules/adamw_cpu.py',
    '../_base_/default_runtime.py',
    '../_base_/postprocess_any.py',
    '../_base_/tta.py',
]

train_pipeline = [
    *_base_.load_transforms,
    dict(type='RandomTile', tile_size=(128, 128), scale_range=(1.6, 2.5), stride=None),
    *_base_.augment_transforms[1:],
    *_base_.pack_transforms,
]
train_dataloader = dict(batch_size=4, dataset=dict(dataset=dict(pipeline=train_pipeline)))

# How many classes there are is taken from the data (fit_to_data).
model = dict(roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)))
tta_scales = [1.6, 2.0]

load_from = 'shipped'
