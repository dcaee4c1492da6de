# Groups as in NMS; box and mask are means over the group, the score is that of its best cell.
fusion = dict(method=dict(type='nmw', iou_threshold=0.5), score_threshold=0.1)
