# The usual training, from what was learnt with pasted cells.
_base_ = ['./mrcnn_r50.py']

load_from = None
init_from = dict(config='configs/sartorius/mrcnn_r50_pasted.py', same_fold=True)
