# A small model that learns from scratch on two CPU cores in 40 minutes. Cells are shown at twice their size: at 15 px
# across they would be four pixels wide on the finest feature map.
_base_ = [
    '../_base_/models/mask_rcnn_r18_small.py',
    '../_base_/datasets/sartorius.py',
    '../_base_/schedules/adamw_cpu.py',
    '../_base_/default_runtime.py',
    '../_base_/postprocess.py',
    '../_base_/tta.py',
]

train_pipeline = [
    dict(type='LoadCellImage'),
    dict(type='LoadCellAnnotations'),
    dict(type='FillMaskHoles'),
    dict(type='RandomResize', scale=(1408, 1040), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCellCrop', crop_size=(256, 256)),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(batch_size=4, dataset=dict(dataset=dict(pipeline=train_pipeline)))
