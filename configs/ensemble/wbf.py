# Weighted boxes fusion: a cell's box, score and mask are means over the models that found it.
# Name files on the command line, or let tools/ensemble.py find them; weights and thresholds per file: two_models.py.
fusion = dict(method=dict(type='wbf', iou_threshold=0.7, conf_type='box_and_model_avg'), score_threshold=0.1)
