# A step of the optimiser after the gradients of 4 iterations: as large a batch as that of four GPUs.
_base_ = ['./mrcnn_r50.py']

optim_wrapper = dict(accumulative_counts=4)
