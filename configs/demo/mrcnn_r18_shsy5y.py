# The CPU-size twin of sartorius/mrcnn_r50_shsy5y.py.
_base_ = ['./mrcnn_r18.py']

train_dataloader = dict(dataset=dict(dataset=dict(filter_cfg=dict(cell_types=['shsy5y']))))
val_dataloader = dict(dataset=dict(filter_cfg=dict(cell_types=['shsy5y'])))
