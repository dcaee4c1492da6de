# mrcnn_r50.py trained and validated on images of cort alone; configs/ensemble/specialists.py joins it with the others.
_base_ = ['./mrcnn_r50.py']

train_dataloader = dict(dataset=dict(dataset=dict(filter_cfg=dict(cell_types=['cort']))))
val_dataloader = dict(dataset=dict(filter_cfg=dict(cell_types=['cort'])))
