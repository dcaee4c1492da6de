"""From MMDetection's tensors to the project's predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sartorius.predictions.store import quantise
from sartorius.predictions.structures import ImagePredictions


def to_image_predictions(sample: Mapping[str, Any]) -> ImagePredictions:
    """Predictions of one image, from a data sample in the form of ``DetDataSample.to_dict()``.

    Boxes are in pixels of the image as it lies on the disk. Soft masks are rounded to the steps of the predictions
    file, so that what is scored now is what is read back later.

    Args:
        sample: ``img_path``, ``ori_shape`` and ``pred_instances`` with ``bboxes`` ``(N, 4)``, ``scores`` ``(N,)``,
            ``labels`` ``(N,)`` and soft ``masks`` ``(N, S, S)``; masks may be of any shape when N is 0. A detector
            that finds boxes alone has no ``masks``.
    """
    size = tuple(int(length) for length in sample['ori_shape'][:2])
    found = sample['pred_instances']
    image_id = Path(sample['img_path']).stem
    if len(found['scores']) == 0:
        return ImagePredictions.empty(image_id, size)
    count, masks = len(found['scores']), found.get('masks')
    return ImagePredictions(
        image_id=image_id,
        size=size,
        boxes=found['bboxes'].detach().cpu().float().numpy(),
        scores=found['scores'].detach().cpu().float().numpy(),
        labels=found['labels'].detach().cpu().numpy().astype(np.int64),
        soft_masks=(
            np.zeros((count, 0, 0), np.float32) if masks is None else quantise(masks.detach().cpu().float().numpy())
        ),
    )


def max_cells(sample: Mapping[str, Any]) -> int:
    """Cells that the model found in one image at once: what its limit on cells an image holds for.

    Args:
        sample: As in :func:`to_image_predictions`. A model that looks more than once says the number under
            ``max_cells``: that of the fullest view or tile, which may be more than all have in common, or less than
            all have together.
    """
    return sample.get('max_cells', len(sample['pred_instances']['scores']))
