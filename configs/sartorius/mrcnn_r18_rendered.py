# mrcnn_r18_shipped.py on real images and on new pictures of masks that people drew, half of each: those of
# tools/data/make_synthetic.py --masks CSV, then tools/prepare_sartorius.py.
_base_ = ['./mrcnn_r18_shipped.py']

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
