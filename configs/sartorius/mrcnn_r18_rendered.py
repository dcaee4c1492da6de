# mrcnn_r18.py, begun with the model that comes with the package, on real images and on new pictures of masks that
# people drew (tools/data/make_synthetic.py --masks CSV, then tools/prepare_sartorius.py): half of each.
_base_ = ['./mrcnn_r18.py']

rendered_root = '{{$SARTORIUS_RENDERED:work_dirs/rendered}}'
rendered_annotations = '{{$SARTORIUS_RENDERED_ANNOTATIONS:work_dirs/data/rendered}}'
train_dataloader = dict(
    dataset=dict(
        share=0.5,
        synthetic=dict(
            type='SartoriusDataset',
            data_root=rendered_root,
            ann_file=f'{rendered_annotations}/all.json',
            filter_cfg=dict(filter_empty_gt=True),
            pipeline=_base_.train_pipeline,
        ),
    )
)
optim_wrapper = dict(optimizer=dict(lr=0.0005))

# The weights that are kept are a running mean over the last iterations' weights.
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=250, update_buffers=True),
]
load_from = 'shipped'
