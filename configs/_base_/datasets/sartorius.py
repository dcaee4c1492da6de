# The competition's images: 704x520 px, cells of 15 to 35 px, up to 790 of them in one image.
# tools/train.py and tools/test.py set folders and fold from their options (--data-root, --annotations, --fold).
data_root = '{{$SARTORIUS_DATA:data/sartorius}}'
annotations = '{{$SARTORIUS_ANNOTATIONS:work_dirs/data/sartorius}}'
fold = 0

# In parts, so that a recipe can change one of them.
load_transforms = [dict(type='LoadCellImage'), dict(type='LoadCellAnnotations')]
clean_transforms = [dict(type='FillMaskHoles')]
augment_transforms = [
    # Multi-scale by the short edge (520 px); the long edge follows.
    dict(type='RandomChoiceResize', scales=[(2000, edge) for edge in range(640, 1105, 64)], keep_ratio=True),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCellCrop', crop_size=(768, 768)),
]
# No 'flip' among the keys: MMDetection's Cascade heads crash on it.
pack_transforms = [
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]

train_pipeline = [*load_transforms, *clean_transforms, *augment_transforms, *pack_transforms]
test_pipeline = [dict(type='LoadCellImage'), dict(type='Resize', scale=(2000, 1040), keep_ratio=True), *pack_transforms]

train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    worker_init_fn=dict(type='leave_interrupts_to_the_main_process'),
    sampler=dict(type='ResumableSampler'),
    dataset=dict(
        type='SeededDataset',
        dataset=dict(
            type='SartoriusDataset',
            data_root=data_root,
            ann_file=f'{annotations}/fold{fold}_train.json',
            filter_cfg=dict(filter_empty_gt=True),
            pipeline=train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    worker_init_fn=dict(type='leave_interrupts_to_the_main_process'),
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SartoriusDataset',
        data_root=data_root,
        ann_file=f'{annotations}/fold{fold}_val.json',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(val_dataloader, dataset=dict(val_dataloader['dataset'], ann_file=f'{annotations}/test.json'))
val_evaluator = dict(type='CompetitionMetric', ann_file=f'{annotations}/fold{fold}_val.json')
test_evaluator = dict(type='DumpPredictions')
