# Shared by every run: modules that register themselves, hooks, logging, seeds.
custom_imports = dict(
    imports=['sartorius.datasets', 'sartorius.engine', 'sartorius.inference', 'sartorius.models'],
    allow_failed_imports=False,
)
default_scope = 'mmdet'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # The competition mAP of post-processed masks picks the best checkpoint: COCO AP stops counting at 100 cells.
    checkpoint=dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=500,
        max_keep_ckpts=2,
        save_best='competition/mAP',
        rule='greater',
        backend_args=dict(backend='atomic'),
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
custom_hooks = [
    dict(type='SeedEachIterationHook'),
    dict(type='PostprocessHook'),
    dict(type='ProgressHook'),
    dict(type='CheckInvalidLossHook', interval=20),
]

env_cfg = dict(
    cudnn_benchmark=False,
    # OpenCV's own threads compete with the data loader's workers.
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)
visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
log_processor = dict(type='LogProcessor', window_size=20, by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
