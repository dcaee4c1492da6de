# Images at three times their size, short edge 1,280 to 1,792 px in training.
_base_ = ['./mrcnn_r50.py']

augment_transforms = [
    dict(type='RandomChoiceResize', scales=[(3000, edge) for edge in range(1280, 1793, 64)], keep_ratio=True),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCellCrop', crop_size=(1024, 1024)),
]
train_pipeline = [*_base_.load_transforms, *_base_.clean_transforms, *augment_transforms, *_base_.pack_transforms]
test_pipeline = [
    dict(type='LoadCellImage'),
    dict(type='Resize', scale=(3000, 1560), keep_ratio=True),
    *_base_.pack_transforms,
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
tta_scales = [(3000, 1248), (3000, 1560)]
