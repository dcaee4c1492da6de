# The usual training, from what was learnt with pasted cells.
_base_ = ['./mrcnn_r18.py']

load_from = None
init_from = dict(config='configs/demo/mrcnn_r18_pasted.py', same_fold=True)
