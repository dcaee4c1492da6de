# Own images of any classes (docs/extending/data_set.md), from weights of COCO. For a GPU.
_base_ = [
    '../_base_/models/mask_rcnn_r50_fpn.py',
    '../_base_/datasets/own.py',
    '../_base_/schedules/sgd_8k.py',
    '../_base_/default_runtime.py',
    '../_base_/postprocess_any.py',
    '../_base_/tta.py',
]

# How many classes there are is taken from the data (fit_to_data).
model = dict(roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)))
tta_scales = [1.6, 2.0]

load_from = 'https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_mstrain-poly_3x_coco/mask_rcnn_r50_fpn_mstrain-poly_3x_coco_20210524_201154-21b550bb.pth'  # noqa: E501
