# mrcnn_r18.py, begun with the model that comes with the package in place of random weights; a running mean over the
# weights of the last iterations is kept.
_base_ = ['./mrcnn_r18.py']

optim_wrapper = dict(optimizer=dict(lr=0.0005))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=250, update_buffers=True),
]
load_from = 'shipped'
