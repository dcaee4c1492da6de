# The competition's images at twice their size, in crops of 256 px: for small models that learn from scratch. At 15 px
# across, cells would be four pixels wide on the finest feature map.
_base_ = ['./sartorius.py']

augment_transforms = [
    dict(type='RandomResize', scale=(1408, 1040), ratio_range=(0.8, 1.25), keep_ratio=True),
    # Before the turns, which then take a sixteenth of the time.
    dict(type='RandomCellCrop', crop_size=(256, 256)),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [*_base_.load_transforms, *_base_.clean_transforms, *augment_transforms, *_base_.pack_transforms]
train_dataloader = dict(batch_size=4, dataset=dict(dataset=dict(pipeline=train_pipeline)))
