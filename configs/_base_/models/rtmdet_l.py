# RTMDet-l: one stage, boxes alone. Recipes that use it inherit from _base_/boxes_only.py too.
max_cells = 1000

norm_cfg = dict(type='SyncBN')
act_cfg = dict(type='SiLU', inplace=True)
model = dict(
    type='RTMDet',
    # Grey levels of the competition's images; the three channels are equal.
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[128.0] * 3, std=[13.7] * 3, bgr_to_rgb=False, pad_size_divisor=32
    ),
    backbone=dict(
        type='CSPNeXt',
        arch='P5',
        expand_ratio=0.5,
        deepen_factor=1,
        widen_factor=1,
        channel_attention=True,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
    ),
    neck=dict(
        type='CSPNeXtPAFPN',
        in_channels=[256, 512, 1024],
        out_channels=256,
        num_csp_blocks=3,
        expand_ratio=0.5,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
    ),
    bbox_head=dict(
        type='RTMDetSepBNHead',
        num_classes=3,
        in_channels=256,
        stacked_convs=2,
        feat_channels=256,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
        bbox_coder=dict(type='DistancePointBBoxCoder'),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
        with_objectness=False,
        exp_on_reg=True,
        share_conv=True,
        pred_kernel_size=1,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
    ),
    train_cfg=dict(
        assigner=dict(
            type='DenseSoftLabelAssigner', topk=13, iou_calculator=dict(type='ChunkedBboxOverlaps2D', chunk=1024)
        ),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    # Of 30,000 points of an image of 1408x1040 px, none is cut off before the NMS.
    test_cfg=dict(
        nms_pre=30000, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.65), max_per_img=max_cells
    ),
)
