# The twin of cmrcnn_x152.py: a ResNeXt-50 of 8 groups, a quarter as wide, with group normalisation.
_base_ = ['./cmrcnn_r18.py']

norm = dict(type='GN', num_groups=8, requires_grad=True)
model = dict(
    backbone=dict(type='ResNeXt', depth=50, base_channels=16, groups=8, base_width=2, norm_cfg=norm),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
