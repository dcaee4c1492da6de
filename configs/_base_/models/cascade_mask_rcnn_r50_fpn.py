_base_ = ['mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py']

max_cells = 1000

# Each stage regresses the boxes of the stage before it more finely.
stage_stds = ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067])
stage_ious = (0.5, 0.6, 0.7)

model = dict(
    data_preprocessor=dict(mean=[128.0] * 3, std=[13.7] * 3, bgr_to_rgb=False),
    # The whole model starts from the weights of `load_from`; the backbone needs none of its own.
    backbone=dict(init_cfg=None),
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_head=[
            dict(
                type='Shared2FCBBoxHead',
                in_channels=256,
                fc_out_channels=1024,
                roi_feat_size=7,
                num_classes=3,
                bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=stds),
                reg_class_agnostic=True,
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
            )
            for stds in stage_stds
        ],
        mask_head=dict(type='SoftMaskHead', num_classes=3),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(type='CrowdMaxIoUAssigner', iou_calculator=dict(type='ChunkedBboxOverlaps2D')),
            sampler=dict(num=512),
        ),
        rpn_proposal=dict(nms_pre=3000, max_per_img=2000),
        rcnn=[
            dict(
                assigner=dict(
                    type='CrowdMaxIoUAssigner',
                    pos_iou_thr=iou,
                    neg_iou_thr=iou,
                    min_pos_iou=iou,
                    match_low_quality=False,
                    ignore_iof_thr=-1,
                ),
                sampler=dict(type='RandomSampler', num=512, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=True),
                mask_size=28,
                pos_weight=-1,
                debug=False,
            )
            for iou in stage_ious
        ],
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=3000, max_per_img=2 * max_cells),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6), max_per_img=max_cells),
    ),
)
