# All cells are kept, but those that a better one overlaps score less; overlap removal then drops duplicates.
# The linear decay: dict(type='soft-nms', decay='linear', iou_threshold=0.5).
fusion = dict(method=dict(type='soft-nms', decay='gaussian', sigma=0.5), score_threshold=0.1)
