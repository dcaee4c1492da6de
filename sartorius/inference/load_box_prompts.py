"""Given boxes on their way to a model that draws their masks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmengine.structures import InstanceData

from sartorius.predictions.coco_results import read_coco_results
from sartorius.predictions.store import load_predictions
from sartorius.predictions.structures import PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError, did_you_mean
from sartorius.utils.paths import display_path


@TRANSFORMS.register_module()
class LoadBoxPrompts(BaseTransform):
    """Puts the boxes of an image on its packed sample; stands after ``PackDetInputs`` or ``TestTimeAug``.

    Added to the sample, of several views to the first one's: ``box_prompts``, an ``InstanceData`` of ``bboxes``
    ``(N, 4)`` in pixels of the image on the disk, ``scores`` and ``labels`` ``(N,)``. Images that the file does not
    name get none.

    Args:
        path, annotations, classes: As in :func:`read_box_prompts`.
    """

    def __init__(self, path: str, annotations: str, classes: Sequence[str] = CELL_TYPES) -> None:
        self.images = read_box_prompts(path, annotations, classes).by_id()

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        samples = results['data_samples']
        sample = samples[0] if isinstance(samples, list) else samples
        prompts = InstanceData(
            bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.int64)
        )
        image = self.images.get(sample.img_id)
        if image is not None:
            # Copies: what torch makes of an array shares its memory.
            prompts = InstanceData(
                bboxes=torch.tensor(image.boxes), scores=torch.tensor(image.scores), labels=torch.tensor(image.labels)
            )
        sample.box_prompts = prompts
        return results


def read_box_prompts(path: str | Path, annotations: str | Path, classes: Sequence[str] = CELL_TYPES) -> PredictionSet:
    """Reads boxes, with scores and labels, from a predictions file or another detector's results.

    Args:
        path: Predictions file, or COCO results (``.json``); masks in it play no part.
        annotations: COCO JSON of the images; the ids of COCO results are those that it uses.
        classes: Names that the labels of the result index.

    Raises:
        InputError: The file is neither, is damaged, or has a class that is not among ``classes``.
        OSError: The file cannot be opened.
    """
    path = Path(path)
    if path.suffix == '.json':
        return read_coco_results(path, annotations, classes, grid=0)
    boxes = load_predictions(path, boxes_allowed=True)
    for name in boxes.classes:
        if name not in classes:
            raise InputError(f'{display_path(path)}: class {name!r} is none of the model{did_you_mean(name, classes)}')
    labels = np.array([list(classes).index(name) for name in boxes.classes], dtype=np.int64)
    images = tuple(replace(image, labels=labels[image.labels]) for image in boxes.images)
    return replace(boxes, images=images, classes=tuple(classes))
