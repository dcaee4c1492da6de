# The recipe of the model that comes with the package: one class, any phase-contrast image, no data but drawn images.
_base_ = [
    '../_base_/models/mask_rcnn_r18_small.py',
    '../_base_/datasets/synthetic.py',
    '../_base_/schedules/adamw_cpu.py',
    '../_base_/default_runtime.py',
    '../_base_/postprocess_any.py',
    '../_base_/tta.py',
]

model = dict(
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    # Larger images show more cells, and a step has half as many images: twice the proposals and RoIs of each.
    train_cfg=dict(rpn_proposal=dict(max_per_img=1000), rcnn=dict(sampler=dict(num=256))),
)
# Enlarged less than in most of the training: debris is taken for cells less often, and large cells are found better.
test_pipeline = [dict(type='LoadCellImage'), dict(type='Resize', scale_factor=1.6), *_base_.pack_transforms]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
tiles = dict(scale=1.6)
tta_scales = [1.6, 2.0]

# On real images it is surer of debris than on drawn ones; chosen on the images of docs/predict.md.
postprocess = [dict(type='ScoreThreshold', threshold=0.75), *_base_.postprocess[1:]]

# The rate stays high, and the weights that are kept are a running mean over the last iterations' weights: a rate that
# falls to nothing fits the drawn images better and the real ones worse (docs/experiments.md).
param_scheduler = _base_.param_scheduler[:1]
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.001, gamma=250, update_buffers=True),
]
