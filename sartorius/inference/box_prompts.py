"""Box-first prediction: a detector's mask heads draw the cells in boxes that are given."""

from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from sartorius.inference.forward import WrappedDetector, draw_cells, forward_all


@MODELS.register_module()
class BoxPromptedModel(WrappedDetector):
    """Draws the masks of given boxes, averaged over the views of an image; neither finds nor drops a cell.

    Args:
        module: The detector, or its config.
        data_preprocessor: As in MMEngine's base class.
    """

    @torch.no_grad()
    def test_step(self, data: dict[str, list[Any]]) -> list[DetDataSample]:
        """Draws the cells of one image.

        Args:
            data: As in :func:`forward_all`; the first sample has ``box_prompts``: ``bboxes`` ``(N, 4)`` in pixels
                of the image on the disk, ``scores`` and ``labels`` ``(N,)``.

        Returns:
            One data sample whose ``pred_instances`` are the prompts, in their order, with soft masks ``(N, S, S)``.

        Raises:
            InputError: More than one image in the batch.
        """
        result = data['data_samples'][0][0].clone()
        prompts: InstanceData = result.box_prompts
        if len(prompts):
            arrays = (prompts[name].cpu().numpy() for name in ('bboxes', 'scores', 'labels'))
            prompts = draw_cells(forward_all(self.module, data), *arrays)
        result.pred_instances = prompts
        return [result]
