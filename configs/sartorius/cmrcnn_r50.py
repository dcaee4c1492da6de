_base_ = [
    '../_base_/models/cascade_mask_rcnn_r50_fpn.py',
    '../_base_/datasets/sartorius.py',
    '../_base_/schedules/sgd_8k.py',
    '../_base_/default_runtime.py',
    '../_base_/postprocess.py',
    '../_base_/tta.py',
]

load_from = 'https://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_r50_fpn_mstrain_3x_coco/cascade_mask_rcnn_r50_fpn_mstrain_3x_coco_20210628_164719-5bdc3824.pth'  # noqa: E501
