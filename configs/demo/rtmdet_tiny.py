# The twin of sartorius/rtmdet_l.py.
_base_ = [
    '../_base_/models/rtmdet_tiny_small.py',
    '../_base_/datasets/demo.py',
    '../_base_/boxes_only.py',
    '../_base_/schedules/demo.py',
    '../_base_/tta.py',
]

val_evaluator = dict(type='BoxMetric')
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.02, gamma=25, update_buffers=True, priority=49),
]
tta_orientations = ['none', 'diagonal']
tta_scales = [2.0]
default_hooks = dict(checkpoint=dict(interval=250))
