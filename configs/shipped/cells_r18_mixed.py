# cells_r18.py with a share of real images, prepared by tools/data/prepare_images.py (--merge-classes cell) and named by
# --data-root and --annotations: all of them train, or with --fold 0 those of all other folds.
_base_ = ['./cells_r18.py']

drawn = _base_.train_dataloader.dataset.dataset
train_pipeline = [
    *_base_.load_transforms,
    # Cells of real images are often larger than those of the data that the model's scale is made for.
    dict(type='RandomTile', tile_size=(400, 400), scale_range=(0.5, 2.0), log_scale=True, stride=None),
    *drawn.pipeline[1:],
]
train_dataloader = dict(
    dataset=dict(
        share=0.1,
        synthetic=drawn,
        dataset=dict(
            _delete_=True,
            type='OwnDataset',
            data_root=_base_.data_root,
            ann_file=f'{_base_.annotations}/fold0_train.json',
            pipeline=train_pipeline,
        ),
    )
)
