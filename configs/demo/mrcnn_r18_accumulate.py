# A step of the optimiser after the gradients of 2 iterations: twice the batch in the same memory.
_base_ = ['./mrcnn_r18.py']

optim_wrapper = dict(accumulative_counts=2)
