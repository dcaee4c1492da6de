"""What a detector outputs: its predictions as the project's structures, and the limits on their number."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from numpy.typing import NDArray
from torch import Tensor

from sartorius.predictions.store import quantise
from sartorius.predictions.structures import ImagePredictions


def to_image_predictions(sample: Mapping[str, Any]) -> ImagePredictions:
    """Converts a data sample in the form of ``DetDataSample.to_dict()`` to the predictions of one image.

    Boxes are in pixels of the image file. Soft masks are rounded to the steps of the predictions file, so that what is
    scored now is what is read back later.

    Args:
        sample: ``img_id``, ``ori_shape`` and ``pred_instances`` with ``bboxes`` ``(N, 4)``, ``scores`` ``(N,)``,
            ``labels`` ``(N,)`` and soft ``masks`` ``(N, S, S)``, probabilities or, as uint8, 255 times those; masks
            may be of any shape when N is 0. A detector that predicts boxes alone has no ``masks``.
    """
    size = tuple(int(length) for length in sample['ori_shape'][:2])
    pred, image_id = sample['pred_instances'], str(sample['img_id'])
    count, masks = len(pred['scores']), pred.get('masks')
    if count == 0:
        return ImagePredictions.empty(image_id, size)
    return ImagePredictions(
        image_id=image_id,
        size=size,
        boxes=pred['bboxes'].detach().cpu().float().numpy(),
        scores=pred['scores'].detach().cpu().float().numpy(),
        labels=pred['labels'].detach().cpu().numpy().astype(np.int64),
        soft_masks=(np.zeros((count, 0, 0), np.float32) if masks is None else quantise(_as_array(masks))),
    )


def _as_array(masks: Tensor) -> NDArray[Any]:
    masks = masks.detach().cpu()
    return (masks if masks.dtype == torch.uint8 else masks.float()).numpy()


def max_cells(sample: Mapping[str, Any]) -> int:
    """Largest number of cells predicted in one forward pass over an image, to hold against ``max_per_img``.

    Args:
        sample: As in :func:`to_image_predictions`. A model of several passes reports the number under ``max_cells``:
            the maximum over its augmented passes or tiles, which may be more than the merged result holds, or less
            than all tiles hold together.
    """
    return sample.get('max_cells', len(sample['pred_instances']['scores']))


def box_limits(config: Config) -> ConfigDict:
    """The detector's limits on the boxes it predicts: ``score_thr``, ``nms`` and ``max_per_img``.

    Args:
        config: Of a two-stage or of a one-stage detector.
    """
    limits = config.model.test_cfg
    return limits.get('rcnn', limits)
