# Box first: boxes of a detector without masks (COCO results JSON) and of a model are fused; a model then predicts the
# masks in the fused boxes: python tools/test.py CONFIG CHECKPOINT --boxes work_dirs/ensemble/boxes.npz
fusion = dict(
    method=dict(type='wbf', iou_threshold=0.7),
    boxes_only=True,
    members=[
        dict(predictions='work_dirs/mrcnn_r50/predictions_test.npz'),
        dict(predictions='work_dirs/yolo/predictions.json', annotations='work_dirs/data/sartorius/test.json'),
    ],
)
