# The weights that are kept are a running mean over the last iterations' weights.
_base_ = ['./mrcnn_r18.py']

custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.01, gamma=50, update_buffers=True),
]
