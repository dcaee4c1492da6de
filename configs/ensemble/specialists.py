# The model of all types votes for the cell type of an image; the model trained on that type alone gives its cells.
# Predictions files name the types that their models were trained on, so that their order is free.
fusion = dict(
    method=dict(type='specialists'),
    score_threshold=0.1,
    members=[
        dict(predictions='work_dirs/mrcnn_r50/predictions_test.npz'),
        dict(predictions='work_dirs/mrcnn_r50_shsy5y/predictions_test.npz'),
        dict(predictions='work_dirs/mrcnn_r50_astro/predictions_test.npz'),
        dict(predictions='work_dirs/mrcnn_r50_cort/predictions_test.npz'),
    ],
)
