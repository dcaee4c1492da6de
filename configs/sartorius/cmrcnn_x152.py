# Cascade Mask R-CNN with a ResNeXt-152-32x8d. No weights of it are published for MMDetection: it starts from random
# ones, with group normalisation, which learns from two images at a time; or from your own by --load-from.
_base_ = ['./cmrcnn_r50.py']

norm = dict(type='GN', num_groups=32, requires_grad=True)
model = dict(
    backbone=dict(type='ResNeXt', depth=152, groups=32, base_width=8, norm_cfg=norm, norm_eval=False, frozen_stages=-1)
)
load_from = None
