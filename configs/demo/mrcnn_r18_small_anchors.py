# Anchors of half the size: 8, 16, 32, 64 and 128 px.
_base_ = ['./mrcnn_r18.py']

model = dict(rpn_head=dict(anchor_generator=dict(scales=[2])))
