# Boxes alone: fused with those of other models, they prompt the mask heads of Mask R-CNN, Cascade or HTC.
_base_ = [
    '../_base_/models/rtmdet_l.py',
    '../_base_/datasets/sartorius.py',
    '../_base_/schedules/adamw_4k.py',
    '../_base_/boxes_only.py',
    '../_base_/tta.py',
]

train_dataloader = dict(batch_size=8)
val_evaluator = dict(type='BoxMetric')
# RTMDet's moving average of the weights, which is what is validated and kept. Its own momentum of .0002 is for 300,000
# iterations.
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=400, update_buffers=True, priority=49),
]

load_from = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_l_8xb32-300e_coco/rtmdet_l_8xb32-300e_coco_20220719_112030-5a0be7c4.pth'  # noqa: E501
