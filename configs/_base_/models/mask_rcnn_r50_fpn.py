_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py']

# Above the 790 cells of the fullest training image. A limit chosen for these data, not COCO's 100.
max_cells = 1000

model = dict(
    # Grey levels of the competition's images; the three channels are equal.
    data_preprocessor=dict(mean=[128.0] * 3, std=[13.7] * 3, bgr_to_rgb=False),
    # The whole model starts from the weights of `load_from`; the backbone needs none of its own.
    backbone=dict(init_cfg=None),
    # Cells are 15 to 35 px across, about twice that after resizing: anchors of 16, 32, 64, 128 and 256 px.
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_head=dict(num_classes=3),
        mask_head=dict(type='SoftMaskHead', num_classes=3),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(type='CrowdMaxIoUAssigner', iou_calculator=dict(type='ChunkedBboxOverlaps2D')),
            sampler=dict(num=512),
        ),
        rpn_proposal=dict(nms_pre=3000, max_per_img=2000),
        rcnn=dict(assigner=dict(type='CrowdMaxIoUAssigner'), sampler=dict(num=512, pos_fraction=0.5)),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=3000, max_per_img=2 * max_cells),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6), max_per_img=max_cells),
    ),
)
