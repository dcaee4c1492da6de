# Images at three times their size in place of twice.
_base_ = ['./mrcnn_r18.py']

augment_transforms = [
    dict(type='RandomTile', tile_size=(96, 96), scale_range=(2.4, 3.75), stride=None),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [*_base_.load_transforms, *_base_.clean_transforms, *augment_transforms, *_base_.pack_transforms]
test_pipeline = [dict(type='LoadCellImage'), dict(type='Resize', scale_factor=3.0), *_base_.pack_transforms]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
tta_scales = [3.0]
