# 8,000 iterations of 2 images a GPU: about 30 passes over the competition's 606 images on one GPU.
max_iters = 8000
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=500)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=0.0001),
    clip_grad=dict(max_norm=35, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=500, end=max_iters, eta_min=5e-5),
]
# The rate above is for two GPUs of two images; with enable=True it follows GPUs x images a GPU.
auto_scale_lr = dict(base_batch_size=4, enable=False)
