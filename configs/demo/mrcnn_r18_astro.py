# The CPU-size twin of sartorius/mrcnn_r50_astro.py.
_base_ = ['./mrcnn_r18.py']

train_dataloader = dict(dataset=dict(dataset=dict(filter_cfg=dict(cell_types=['astro']))))
val_dataloader = dict(dataset=dict(filter_cfg=dict(cell_types=['astro'])))
