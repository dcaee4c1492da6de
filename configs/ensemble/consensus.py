# Cells whose masks agree are one, whatever their boxes do. min_models=2 drops what one model alone found.
fusion = dict(method=dict(type='consensus', iou_threshold=0.6, min_models=1), score_threshold=0.1)
