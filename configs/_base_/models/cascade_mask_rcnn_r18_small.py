# The same as mask_rcnn_r18_small.py for Cascade Mask R-CNN.
_base_ = ['./cascade_mask_rcnn_r50_fpn.py']

width, channels = 32, 64
model = dict(
    backbone=dict(depth=18, base_channels=width, frozen_stages=-1, norm_eval=False),
    neck=dict(in_channels=[width, 2 * width, 4 * width, 8 * width], out_channels=channels),
    rpn_head=dict(in_channels=channels, feat_channels=channels),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels),
        bbox_head=[dict(head, in_channels=channels, fc_out_channels=256) for head in _base_.model.roi_head.bbox_head],
        mask_roi_extractor=dict(out_channels=channels),
        mask_head=dict(in_channels=channels, conv_out_channels=channels, class_agnostic=True),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=500),
        rcnn=[dict(stage, sampler=dict(stage['sampler'], num=128)) for stage in _base_.model.train_cfg.rcnn],
    ),
)
