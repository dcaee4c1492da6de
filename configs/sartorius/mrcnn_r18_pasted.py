# mrcnn_r18.py with cells of other images, and mirrored ones, pasted onto half of the samples; and with small tiles
# enlarged in place of whole images.
_base_ = ['./mrcnn_r18.py']

train_pipeline = [
    *_base_.load_transforms,
    *_base_.clean_transforms,
    dict(type='CellCopyPaste', cells=(10, 50), placement='anywhere', turn='any', scale=(0.8, 1.25)),
    dict(type='FlipPaste', classes=('cort', 'astro')),
    dict(type='RandomTile', tile_size=(128, 128), scale_range=(1.6, 2.5), stride=None),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomPhotometric'),
    *_base_.pack_transforms,
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
