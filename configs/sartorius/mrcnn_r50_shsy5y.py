# mrcnn_r50.py trained and validated on images of shsy5y alone; configs/ensemble/specialists.py joins it with the
# others.
_base_ = ['./mrcnn_r50.py']

train_dataloader = dict(dataset=dict(dataset=dict(filter_cfg=dict(cell_types=['shsy5y']))))
val_dataloader = dict(dataset=dict(filter_cfg=dict(cell_types=['shsy5y'])))
