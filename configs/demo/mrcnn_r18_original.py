# Learns from the masks as they are, hollow ones hollow.
_base_ = ['./mrcnn_r18.py']

train_pipeline = [*_base_.load_transforms, *_base_.augment_transforms, *_base_.pack_transforms]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
