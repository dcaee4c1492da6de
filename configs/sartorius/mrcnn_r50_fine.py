# Maps twice as fine: the first convolution takes every pixel, and images are shown at their own size.
_base_ = ['./mrcnn_r50.py']

strides = [2, 4, 8, 16]
model = dict(
    backbone=dict(type='Stride1StemResNet'),
    rpn_head=dict(anchor_generator=dict(strides=[*strides, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=strides),
        mask_roi_extractor=dict(featmap_strides=strides),
    ),
)

augment_transforms = [
    dict(type='RandomTile', tile_size=(384, 384), scale_range=(0.8, 1.25), stride=None),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [*_base_.load_transforms, *_base_.clean_transforms, *augment_transforms, *_base_.pack_transforms]
test_pipeline = [dict(type='LoadCellImage'), dict(type='Resize', scale_factor=1.0), *_base_.pack_transforms]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
tta_scales = [0.8, 1.0]
