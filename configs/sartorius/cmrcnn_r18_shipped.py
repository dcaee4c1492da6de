# mrcnn_r18_shipped.py with Cascade Mask R-CNN, for half as many iterations: each of the three stages begins with the
# head of the package's model.
_base_ = ['./cmrcnn_r18.py']

optim_wrapper = dict(optimizer=dict(lr=0.0005))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=250, update_buffers=True),
]
load_from = 'shipped'
