# Images at three times their size in place of twice.
_base_ = ['./mrcnn_r18.py']

show_steps = [
    dict(type='RandomTile', tile_size=(96, 96), scale_range=(2.4, 3.75), stride=None),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [*_base_.load_steps, *_base_.mend_steps, *show_steps, *_base_.pack_steps]
test_pipeline = [dict(type='LoadCellImage'), dict(type='Resize', scale_factor=3.0), *_base_.pack_steps]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
tta_scales = [3.0]
