"""Prediction of large and dense images tile by tile."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.dataset import Compose, pseudo_collate
from mmengine.structures import InstanceData
from numpy.typing import NDArray

from sartorius.inference.forward import WrappedDetector
from sartorius.inference.tiles import Tile, choose_cells, count_cut, cut_tiles
from sartorius.masks.crop import Size
from sartorius.models.outputs import max_cells
from sartorius.utils.errors import InputError


@MODELS.register_module()
class TiledModel(WrappedDetector):
    """Shows an image to a detector in overlapping tiles, each enlarged, and keeps every cell once.

    Each tile goes through the pipeline and the model as if it were an image of its own, one after another: the memory
    that the network takes does not grow with the image, and the model's limit on cells holds for each tile. Which of
    the tiles' cells are kept is said in :mod:`sartorius.inference.tiles`.

    Args:
        module: The detector, or its config.
        tile_size: ``(height, width)`` of a tile in pixels of the image on the disk.
        margin: Pixels; cells up to twice as high and wide are never cut.
        pipeline: Transforms from a tile (``img``, uint8 ``(H, W, 3)``) to what the model takes.
        nms_iou: The detector's NMS threshold for boxes; None if it has none.
        predictor: Config of the model that takes the tiles, such as :class:`CellTTAModel`, without its ``module``; the
            detector itself if None.
        data_preprocessor: As in MMEngine's base class.
    """

    def __init__(
        self,
        module: Any,
        tile_size: Size,
        margin: int,
        pipeline: list[dict[str, Any]],
        nms_iou: float | None = None,
        predictor: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(module, data_preprocessor)
        self.tile_size = tile_size
        self.margin = margin
        self.nms_iou = nms_iou
        self.pipeline = Compose(pipeline)
        # Built around the detector and not in its place: checkpoints are loaded into ``module``.
        self.predictor = self.module if predictor is None else MODELS.build(dict(predictor, module=self.module))

    @torch.no_grad()
    def test_step(self, data: dict[str, list[Any]]) -> list[DetDataSample]:
        """Predicts one image.

        Args:
            data: ``inputs``: one image, uint8 ``(3, H, W)``, as it is on the disk; ``data_samples``: its sample. If
                that has ``box_prompts``, as in :class:`BoxPromptedModel`, each is drawn by one tile.

        Returns:
            One data sample with ``pred_instances`` in pixels of the image. Its meta information holds ``max_cells``,
            the cells in the fullest tile, and ``cut_cells``, how many were larger than any tile could see whole.

        Raises:
            InputError: More than one image in the batch, or a margin that does not fit the tiles.
        """
        if len(data['inputs']) != 1:
            raise InputError(f'tiles are merged for one image a batch, not {len(data["inputs"])}')
        image, result = data['inputs'][0].permute(1, 2, 0).cpu().numpy(), data['data_samples'][0].clone()
        tiles = cut_tiles(image.shape[:2], self.tile_size, self.margin)
        prompts: InstanceData | None = result.get('box_prompts')
        chosen = [None if prompts is None else _prompts_of(tile, prompts) for tile in tiles]
        samples = [
            self._predict(tile, image, result, None if rows is None else prompts[rows])
            for tile, rows in zip(tiles, chosen, strict=True)
        ]
        cells = _join([sample.pred_instances for sample in samples], tiles)
        owners = np.repeat(np.arange(len(tiles)), [len(sample.pred_instances) for sample in samples])
        boxes, scores, labels = (cells[name].cpu().numpy() for name in ('bboxes', 'scores', 'labels'))
        if prompts is None:
            rows = choose_cells(tiles, owners, boxes, scores, labels, self.margin, self.nms_iou)
        else:
            rows = np.argsort(np.concatenate(chosen))
        result.pred_instances = cells[torch.as_tensor(rows, device=cells.bboxes.device)]
        if prompts is not None:
            # To the last bit, which moving there and back would not be.
            result.pred_instances.bboxes = prompts.bboxes.to(cells.bboxes.device)
        cut = count_cut(tiles, owners[rows], boxes[rows])
        result.set_metainfo({'max_cells': max(max_cells(sample.to_dict()) for sample in samples), 'cut_cells': cut})
        return [result]

    def _predict(
        self, tile: Tile, image: NDArray[np.uint8], sample: DetDataSample, prompts: InstanceData | None
    ) -> DetDataSample:
        """What the predictor says of a tile, in the tile's pixels; ``prompts`` are in the image's."""
        shown = tile.crop(image)
        shape = shown.shape[:2]
        packed = self.pipeline({**sample.metainfo, 'img': shown, 'img_shape': shape, 'ori_shape': shape})
        if prompts is not None:
            prompts.bboxes = prompts.bboxes - torch.as_tensor(tile.offset)
            packed['data_samples'][0].box_prompts = prompts
        return self.predictor.test_step(pseudo_collate([packed]))[0]


def _prompts_of(tile: Tile, prompts: InstanceData) -> NDArray[np.int64]:
    """Indices of the boxes that a tile draws: every box is drawn by one tile."""
    return np.flatnonzero(tile.holds(prompts.bboxes.numpy()))


def _join(found: Sequence[InstanceData], tiles: Sequence[Tile]) -> InstanceData:
    """The cells of all tiles, tile by tile, with boxes in pixels of the image."""
    parts = []
    for cells, tile in zip(found, tiles, strict=True):
        # Without cells, the shape of the masks is any.
        if len(cells):
            offset = torch.as_tensor(tile.offset, device=cells.bboxes.device)
            masks = dict(masks=cells.masks) if 'masks' in cells else {}
            parts.append(InstanceData(bboxes=cells.bboxes + offset, scores=cells.scores, labels=cells.labels, **masks))
    return InstanceData.cat(parts) if parts else found[0]
