# mrcnn_r18.py with Cascade Mask R-CNN.
_base_ = [
    '../_base_/models/cascade_mask_rcnn_r18_small.py',
    '../_base_/datasets/sartorius_crops.py',
    '../_base_/schedules/adamw_cpu.py',
    '../_base_/default_runtime.py',
    '../_base_/postprocess.py',
    '../_base_/tta.py',
]
