# mrcnn_r18.py, begun with the model that comes with the package in place of random weights, and trained twice as long;
# a running mean over the weights of the last iterations is kept.
_base_ = ['./mrcnn_r18.py']

train_cfg = dict(max_iters=8000)
optim_wrapper = dict(optimizer=dict(lr=0.0005))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=200, end=8000, eta_min=0),
]
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=250, update_buffers=True),
]
load_from = 'shipped'
