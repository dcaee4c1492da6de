# Smaller and longer anchors besides the usual ones: from 8 px, up to three times as long as wide.
_base_ = ['./mrcnn_r50.py']

model = dict(rpn_head=dict(anchor_generator=dict(scales=[2, 4], ratios=[0.33, 0.5, 1.0, 2.0, 3.0])))
