# WBF of two models with their own weights and score thresholds. Files named on the command line replace these two, in
# their order, so that the same config fuses predictions of other images.
fusion = dict(
    method=dict(type='wbf', iou_threshold=0.7),
    members=[
        dict(predictions='work_dirs/mrcnn_r50/predictions_test.npz', weight=1, score_threshold=0.1),
        dict(
            predictions='work_dirs/cmrcnn_r50/predictions_test.npz',
            weight=2,
            score_threshold=dict(shsy5y=0.1, astro=0.15, cort=0.2),
        ),
    ],
)
