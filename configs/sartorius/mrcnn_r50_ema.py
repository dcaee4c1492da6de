# The weights that are kept are a running mean over the last iterations' weights.
_base_ = ['./mrcnn_r50.py']

custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.001, gamma=1000, update_buffers=True),
]
