# The CPU-size twin of sartorius/mrcnn_r50_livecell.py.
_base_ = ['./mrcnn_r18.py']

init_from = dict(config='configs/demo/mrcnn_r18_eight_types.py', same_fold=False)
