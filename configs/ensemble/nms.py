# Of the cells whose boxes overlap, the best-scored one is kept unchanged.
fusion = dict(method=dict(type='nms', iou_threshold=0.5), score_threshold=0.1)
