# The deeper twin: ResNet-34 in place of ResNet-18.
_base_ = ['./mrcnn_r18.py']

model = dict(backbone=dict(depth=34))
