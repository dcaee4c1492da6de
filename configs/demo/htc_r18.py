_base_ = [
    '../_base_/models/htc_r18_small.py',
    '../_base_/datasets/demo.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/demo.py',
    '../_base_/postprocess.py',
    '../_base_/tta.py',
]

tta_orientations = ['none', 'diagonal']
tta_scales = [2.0]
default_hooks = dict(checkpoint=dict(interval=250))
