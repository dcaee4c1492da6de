# Pre-training for configs/sartorius/mrcnn_r50_livecell.py: eight cell lines.
_base_ = [
    '../_base_/models/mask_rcnn_r50_fpn.py',
    '../_base_/datasets/livecell.py',
    '../_base_/schedules/sgd_8k.py',
    '../_base_/default_runtime.py',
    '../_base_/postprocess_livecell.py',
    '../_base_/tta.py',
]

max_cells = 3500
model = dict(
    roi_head=dict(bbox_head=dict(num_classes=8), mask_head=dict(num_classes=8)),
    train_cfg=dict(rpn_proposal=dict(nms_pre=4000, max_per_img=4000)),
    test_cfg=dict(
        rpn=dict(nms_pre=2 * max_cells, max_per_img=2 * max_cells),
        rcnn=dict(max_per_img=max_cells),
    ),
)
# The validation set has about as many images as the competition has for training.
train_cfg = dict(val_interval=4000)

load_from = 'https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_mstrain-poly_3x_coco/mask_rcnn_r50_fpn_mstrain-poly_3x_coco_20210524_201154-21b550bb.pth'  # noqa: E501
