_base_ = [
    '../_base_/models/htc_r50_fpn.py',
    '../_base_/datasets/sartorius.py',
    '../_base_/schedules/sgd_8k.py',
    '../_base_/default_runtime.py',
    '../_base_/postprocess.py',
    '../_base_/tta.py',
]

# Trained with a semantic branch, whose weights are dropped; none are published without it.
load_from = 'https://download.openmmlab.com/mmdetection/v2.0/htc/htc_r50_fpn_20e_coco/htc_r50_fpn_20e_coco_20200319-fe28c577.pth'  # noqa: E501
