# Smaller tiles, enlarged three times; predict with tools/test.py --tiles.
_base_ = ['./mrcnn_r18.py']

augment_transforms = [
    dict(type='RandomTile', tile_size=(64, 64), scale_range=(2.4, 3.75), stride=None),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [*_base_.load_transforms, *_base_.clean_transforms, *augment_transforms, *_base_.pack_transforms]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
tiles = dict(size=(260, 352), overlap=128, scale=3.0)
