# Synthetic images of 352x260 px, shown at twice their size in crops of 192 px; two CPU cores train on them in minutes.
_base_ = ['./sartorius.py']

data_root = 'work_dirs/demo/data'
annotations = 'work_dirs/demo/annotations'

train_pipeline = [
    dict(type='LoadCellImage'),
    dict(type='LoadCellAnnotations'),
    dict(type='RandomResize', scale=(704, 520), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCellCrop', crop_size=(192, 192)),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
test_pipeline = [
    dict(type='LoadCellImage'),
    dict(type='Resize', scale=(704, 520), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
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
