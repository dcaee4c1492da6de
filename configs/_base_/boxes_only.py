# default_runtime.py for a detector that predicts boxes without masks, which prompt the mask heads of other models
# (docs/prediction.md). Recipes use it instead of default_runtime.py, and BoxMetric as their val_evaluator.
_base_ = ['./default_runtime.py']

boxes_only = True
default_hooks = dict(checkpoint=dict(save_best='boxes/AP'))
# There is nothing to post-process.
custom_hooks = [hook for hook in _base_.custom_hooks if hook['type'] != 'PostprocessHook']
