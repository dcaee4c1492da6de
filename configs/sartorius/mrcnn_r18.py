# A small model that learns from scratch on two CPU cores: a quarter of an hour where they have bfloat16 (--amp).
_base_ = [
    '../_base_/models/mask_rcnn_r18_small.py',
    '../_base_/datasets/sartorius_crops.py',
    '../_base_/schedules/adamw_cpu.py',
    '../_base_/default_runtime.py',
    '../_base_/postprocess.py',
    '../_base_/tta.py',
]
