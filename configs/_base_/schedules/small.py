# The schedule of small variants (--small): two to three minutes on two CPU cores.
_base_ = ['./adamw_cpu.py']

max_iters = 250
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=25),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=25, end=max_iters, eta_min=0),
]
