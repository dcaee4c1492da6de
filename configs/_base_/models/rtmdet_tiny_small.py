# An RTMDet that learns from scratch on a CPU in minutes: a quarter of the width, one block a stage.
_base_ = ['./rtmdet_l.py']

channels = 64
norm_cfg = dict(type='BN')
model = dict(
    backbone=dict(deepen_factor=0.167, widen_factor=0.25, norm_cfg=norm_cfg),
    neck=dict(
        in_channels=[channels, 2 * channels, 4 * channels],
        out_channels=channels,
        num_csp_blocks=1,
        norm_cfg=norm_cfg,
    ),
    bbox_head=dict(in_channels=channels, feat_channels=channels, norm_cfg=norm_cfg),
)
