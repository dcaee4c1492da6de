# Own images, prepared by tools/data/prepare_images.py. Classes, grey levels and magnification come from the data: what
# follows is for images whose median cell is 20 px across (sartorius/engine/data_fit.py). Images may have any size.
_base_ = ['./sartorius.py']

data_root = '{{$OWN_DATA:data/own}}'
annotations = '{{$OWN_ANNOTATIONS:work_dirs/data/own}}'
fit_to_data = dict(cell_diameter=20)

augment_transforms = [
    dict(type='RandomTile', tile_size=(384, 384), scale_range=(1.6, 2.5), stride=None),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
]
# Without FillMaskHoles: whoever drew a hole may have meant it.
train_pipeline = [*_base_.load_transforms, *augment_transforms, *_base_.pack_transforms]
test_pipeline = [dict(type='LoadCellImage'), dict(type='Resize', scale_factor=2.0), *_base_.pack_transforms]

train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            type='OwnDataset',
            data_root=data_root,
            ann_file=f'{annotations}/fold0_train.json',
            pipeline=train_pipeline,
        )
    )
)
val_dataloader = dict(
    dataset=dict(
        type='OwnDataset', data_root=data_root, ann_file=f'{annotations}/fold0_val.json', pipeline=test_pipeline
    )
)
test_dataloader = dict(
    dataset=dict(type='OwnDataset', data_root=data_root, ann_file=f'{annotations}/test.json', pipeline=test_pipeline)
)
val_evaluator = dict(ann_file=f'{annotations}/fold0_val.json')
