# Synthetic images that are drawn while the model trains (sartorius/datasets/synthetic.py): one class, any kind of cell.
# No data are needed; own images, prepared by tools/data/prepare_images.py, can validate (--fold 0) and be tested on.
_base_ = ['./own.py']

fit_to_data = None
# Nothing is held out from images that are drawn.
fold = 'all'

augment_transforms = [
    # .8 to 1.9 times the size at the enlargement by 1.6 of prediction; the cells' own sizes differ far more.
    dict(type='RandomTile', tile_size=(320, 320), scale_range=(1.3, 3.0), log_scale=True, stride=None),
    dict(type='RandomCellCrop', crop_size=(320, 320)),
    dict(type='RandomQuarterTurn'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomPhotometric', prob=0.7, brightness=24.0, contrast=1.6, blur=1.5),
]
train_dataloader = dict(
    # Fewer and larger: a spread cell enlarged by 2 must be seen whole, or it is never learnt.
    batch_size=2,
    # Drawing takes a fifth of a step; a process of its own takes more from the step than that on two cores.
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        dataset=dict(
            _delete_=True,
            type='SyntheticCellDataset',
            breadth='drawn',
            size=(320, 320),
            images=None,
            pipeline=[*augment_transforms, *_base_.pack_transforms],
        )
    ),
)
