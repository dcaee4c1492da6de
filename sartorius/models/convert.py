"""From MMDetection's tensors to the project's predictions."""

from pathlib import Path

import numpy as np
from mmdet.structures import DetDataSample

from sartorius.predictions.store import quantise
from sartorius.predictions.structures import ImagePredictions


def to_image_predictions(sample: DetDataSample) -> ImagePredictions:
    """Predictions of one image, from a data sample whose ``pred_instances.masks`` are soft masks ``(N, S, S)``.

    Boxes are in pixels of the image as it lies on the disk. Soft masks are rounded to the steps of the predictions
    file, so that what is scored now is what is read back later.
    """
    size = tuple(int(length) for length in sample.ori_shape[:2])
    found = sample.pred_instances
    image_id = Path(sample.img_path).stem
    if len(found) == 0:
        return ImagePredictions.empty(image_id, size)
    return ImagePredictions(
        image_id=image_id,
        size=size,
        boxes=found.bboxes.detach().cpu().numpy().astype(np.float32),
        scores=found.scores.detach().cpu().numpy().astype(np.float32),
        labels=found.labels.detach().cpu().numpy().astype(np.int64),
        soft_masks=quantise(found.masks.detach().cpu().float().numpy()),
    )
