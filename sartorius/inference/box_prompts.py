"""Box prompts: a detector's mask heads predict masks for boxes of another model or of a fusion.

:func:`read_box_prompts` reads the boxes of all images, :class:`LoadBoxPrompts` puts those of one image on its sample,
and :class:`BoxPromptedModel` predicts their masks.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from sartorius.inference.tta import Detections, DetectorWrapper, predict_masks_for_boxes, run_forward_passes
from sartorius.predictions.coco_results import read_coco_results
from sartorius.predictions.store import load_predictions
from sartorius.predictions.structures import PredictionSet
from sartorius.utils.errors import InputError, did_you_mean
from sartorius.utils.paths import display_path


@MODELS.register_module()
class BoxPromptedModel(DetectorWrapper):
    """Predicts the masks of given boxes, averaged over the augmented passes of an image; adds and drops no cell.

    Args:
        module: The detector, or its config.
        data_preprocessor: As in MMEngine's base class.
    """

    @torch.no_grad()
    def test_step(self, data: dict[str, list[Any]]) -> list[DetDataSample]:
        """Predicts the masks of one image.

        Args:
            data: As in :func:`sartorius.inference.tta.run_forward_passes`; the first sample has ``box_prompts``:
                ``bboxes`` ``(N, 4)`` in pixels of the image file, ``scores`` and ``labels`` ``(N,)``.

        Returns:
            One data sample whose ``pred_instances`` are the prompts, in their order, with soft masks ``(N, S, S)``.

        Raises:
            InputError: More than one image in the batch.
        """
        result = data['data_samples'][0][0].clone()
        prompts: InstanceData = result.box_prompts
        if len(prompts):
            arrays = (prompts[name].cpu().numpy() for name in ('bboxes', 'scores', 'labels'))
            prompts = predict_masks_for_boxes(run_forward_passes(self.module, data), Detections(*arrays))
        result.pred_instances = prompts
        return [result]


@TRANSFORMS.register_module()
class LoadBoxPrompts(BaseTransform):
    """Puts the boxes of an image on its packed sample; comes after ``PackDetInputs`` or ``TestTimeAug``.

    Added to the sample (of several augmented ones, to the first): ``box_prompts``, an ``InstanceData`` of ``bboxes``
    ``(N, 4)`` in pixels of the image file, ``scores`` and ``labels`` ``(N,)``. Images that the file does not name get
    empty ones.

    Args:
        path, annotations, classes: As in :func:`read_box_prompts`.
    """

    def __init__(self, path: str, annotations: str, classes: Sequence[str]) -> None:
        self.images = read_box_prompts(path, annotations, classes).by_id()

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        samples = results['data_samples']
        sample = samples[0] if isinstance(samples, list) else samples
        prompts = InstanceData(
            bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.int64)
        )
        image = self.images.get(sample.img_id)
        if image is not None:
            # Copies: torch.as_tensor would share the array's memory.
            prompts = InstanceData(
                bboxes=torch.tensor(image.boxes), scores=torch.tensor(image.scores), labels=torch.tensor(image.labels)
            )
        sample.box_prompts = prompts
        return results


def read_box_prompts(path: str | Path, annotations: str | Path, classes: Sequence[str]) -> PredictionSet:
    """Reads boxes, with scores and labels, from a predictions file or another detector's results.

    Args:
        path: Predictions file, or COCO results (``.json``); masks in it are ignored.
        annotations: COCO JSON of the images; the ids in COCO results are those that it uses.
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
