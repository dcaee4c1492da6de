# mrcnn_r50.py trained and validated on images of astro alone; configs/ensemble/specialists.py joins it with the others.
_base_ = ['./mrcnn_r50.py']

train_dataloader = dict(dataset=dict(dataset=dict(filter_cfg=dict(cell_types=['astro']))))
val_dataloader = dict(dataset=dict(filter_cfg=dict(cell_types=['astro'])))
