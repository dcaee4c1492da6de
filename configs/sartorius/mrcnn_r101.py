# A deeper backbone.
_base_ = ['./mrcnn_r50.py']

model = dict(backbone=dict(depth=101))
load_from = 'https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r101_fpn_mstrain-poly_3x_coco/mask_rcnn_r101_fpn_mstrain-poly_3x_coco_20210524_200244-5675c317.pth'  # noqa: E501
