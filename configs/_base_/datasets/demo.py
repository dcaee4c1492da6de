# For small models that learn from scratch in minutes on two CPU cores: tiles of 96 px, enlarged to about 192 px, and
# whole images at twice their size, whatever size that is. Synthetic images of `make demo`, unless --data-root and
# --annotations name others.
_base_ = ['./sartorius.py']

data_root = 'work_dirs/demo/data'
annotations = 'work_dirs/demo/annotations'

augment_transforms = [
    dict(type='RandomTile', tile_size=(96, 96), scale_range=(1.6, 2.5), stride=None),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [*_base_.load_transforms, *_base_.clean_transforms, *augment_transforms, *_base_.pack_transforms]
test_pipeline = [dict(type='LoadCellImage'), dict(type='Resize', scale_factor=2.0), *_base_.pack_transforms]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        dataset=dict(data_root=data_root, ann_file=f'{annotations}/fold0_train.json', pipeline=train_pipeline)
    ),
)
val_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file=f'{annotations}/fold0_val.json', pipeline=test_pipeline)
)
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file=f'{annotations}/test.json', pipeline=test_pipeline))
val_evaluator = dict(ann_file=f'{annotations}/fold0_val.json')
