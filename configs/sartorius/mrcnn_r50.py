_base_ = [
    '../_base_/models/mask_rcnn_r50_fpn.py',
    '../_base_/datasets/sartorius.py',
    '../_base_/schedules/sgd_8k.py',
    '../_base_/default_runtime.py',
    '../_base_/postprocess.py',
    '../_base_/tta.py',
]

load_from = 'https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_mstrain-poly_3x_coco/mask_rcnn_r50_fpn_mstrain-poly_3x_coco_20210524_201154-21b550bb.pth'  # noqa: E501
