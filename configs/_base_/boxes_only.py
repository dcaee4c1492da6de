# default_runtime.py for a detector that finds boxes and no masks, for the mask heads of others to draw cells in
# (docs/prediction.md). Leaves take it in place of default_runtime.py, and BoxMetric as their val_evaluator.
_base_ = ['./default_runtime.py']

boxes_only = True
default_hooks = dict(checkpoint=dict(save_best='boxes/AP'))
# Nothing to post-process.
custom_hooks = [hook for hook in _base_.custom_hooks if hook['type'] != 'PostprocessHook']
