# Cells whose masks agree are one, whatever the IoU of their boxes. min_models=2 drops cells of a single model.
fusion = dict(method=dict(type='consensus', iou_threshold=0.6, min_models=1), score_threshold=0.1)
