# Cells of other images, and mirrored ones, pasted onto half of the samples: the first half of mrcnn_r18_copypaste.py.
_base_ = ['./mrcnn_r18.py']

paste_steps = [
    dict(type='CellCopyPaste', cells=(10, 50), placement='anywhere', turn='any', scale=(0.8, 1.25)),
    dict(type='FlipPaste', classes=('cort', 'astro')),
]
train_pipeline = [
    *_base_.load_transforms,
    *_base_.clean_transforms,
    *paste_steps,
    *_base_.augment_transforms,
    *_base_.pack_transforms,
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
