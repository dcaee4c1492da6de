# cmrcnn_r50.py that starts from its LIVECell pre-training; heads for eight classes give way to new ones for three.
_base_ = ['./cmrcnn_r50.py']

init_from = dict(config='configs/livecell/cmrcnn_r50.py', same_fold=False)
