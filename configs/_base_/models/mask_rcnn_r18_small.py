# A Mask R-CNN that learns from scratch on a CPU in minutes: ResNet-18 of half the width, a quarter of the channels in
# the heads, fewer candidates: the model of mrcnn_r50.py --small (sartorius/engine/small.py).
_base_ = ['./mask_rcnn_r50_fpn.py']

width, channels = 32, 64
model = dict(
    backbone=dict(depth=18, base_channels=width, frozen_stages=-1, norm_eval=False),
    neck=dict(in_channels=[width, 2 * width, 4 * width, 8 * width], out_channels=channels),
    rpn_head=dict(in_channels=channels, feat_channels=channels),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels),
        bbox_head=dict(in_channels=channels, fc_out_channels=256, reg_class_agnostic=True),
        mask_roi_extractor=dict(out_channels=channels),
        # One mask branch for all cell types: what an outline looks like is learnt from all cells at once.
        mask_head=dict(in_channels=channels, conv_out_channels=channels, class_agnostic=True),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=1000, max_per_img=500), rcnn=dict(sampler=dict(num=128))),
)
