# Hybrid Task Cascade without its semantic branch, whose training needs a label for every pixel of the image.
_base_ = ['./cascade_mask_rcnn_r50_fpn.py']

model = dict(
    type='HybridTaskCascade',
    roi_head=dict(
        type='SoftHTCRoIHead',
        # Each stage's masks are learnt on the boxes that this stage refined, ...
        interleaved=True,
        # ... from its own features and those of the mask heads before it; the first has none before it.
        mask_info_flow=True,
        mask_head=[
            dict(_base_.model.roi_head.mask_head, type='SoftHTCMaskHead', with_conv_res=stage > 0) for stage in range(3)
        ],
    ),
)
