# The competition's images at twice their size, in crops of 256 px: for small models that learn from scratch. At 15 px
# across, cells would be four pixels wide on the finest feature map.
_base_ = ['./sartorius.py']

show_steps = [
    dict(type='RandomResize', scale=(1408, 1040), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCellCrop', crop_size=(256, 256)),
]
train_pipeline = [*_base_.load_steps, *_base_.mend_steps, *show_steps, *_base_.pack_steps]
train_dataloader = dict(batch_size=4, dataset=dict(dataset=dict(pipeline=train_pipeline)))
