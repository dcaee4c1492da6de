"""Synthetic images to train on, drawn as they are needed: no two are the same, and none needs a disk."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.dataset import Compose
from torch.utils.data import Dataset

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.image import check_image_request
from sartorius.synthetic.stream import BREADTHS, check_breadth, stream_image
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

ENDLESS_LENGTH = 2**31 - 1
"""What :func:`len` says of a stream without end; Python wants a number."""


@DATASETS.register_module()
class SyntheticCellDataset(Dataset):
    """Images of a stream: item ``index`` is :func:`sartorius.synthetic.stream.stream_image` of the seed and the index.

    Wrapped by :class:`sartorius.datasets.samplers.SeededDataset`, sample n of a run shows image n: images follow from
    the seed alone, whatever the number of workers, and a resumed run goes on with the next one.

    Each sample has what :class:`sartorius.datasets.transforms.LoadCellImage` and ``LoadCellAnnotations`` load: ``img``
    (uint8 ``(height, width, 3)``, grey), ``img_shape``, ``ori_shape``, ``gt_masks``
    (:class:`sartorius.datasets.cropped_masks.CroppedMasks`), ``gt_bboxes``, ``gt_bboxes_labels`` and
    ``gt_ignore_flags``; further ``img_id``, ``img_path`` (a name, no file), ``height``, ``width``, ``cell_type``.

    Args:
        size: ``(height, width)`` of an image in pixels: as large as what the pipeline cuts out of it, since all of it
            is drawn.
        breadth: What images show, of :data:`sartorius.synthetic.stream.BREADTHS`.
        images: Number of different images; None for a stream without end.
        seed: Of the stream; tools/train.py sets it to the run's seed.
        metainfo: ``classes`` (and ``palette``): one class for all cells, or the three types with ``breadth='types'``.
        pipeline: Transforms, in config form.

    Raises:
        InputError: A size, breadth or number of images out of range, or classes that the images do not tell apart.
    """

    METAINFO: Mapping[str, Any] = {'classes': ('cell',), 'palette': [(0, 158, 115)]}

    def __init__(
        self,
        size: Size,
        breadth: str = BREADTHS[-1],
        images: int | None = None,
        seed: int = 0,
        metainfo: Mapping[str, Any] | None = None,
        pipeline: Sequence[dict[str, Any] | Callable] = (),
    ) -> None:
        check_image_request(size)
        check_breadth(breadth)
        if images is not None and images < 1:
            raise InputError(f'SyntheticCellDataset: images is {images}; it must be at least 1, or None for no end')
        self.metainfo = dict(metainfo or self.METAINFO)
        self.classes = tuple(self.metainfo['classes'])
        if len(self.classes) != 1 and (breadth != 'types' or set(self.classes) != set(CELL_TYPES)):
            raise InputError(
                f'SyntheticCellDataset: images of breadth {breadth!r} do not tell the classes '
                f"{', '.join(self.classes)} apart; give one class, or {', '.join(CELL_TYPES)} with breadth='types'"
            )
        height, width = size
        self.size = height, width
        self.breadth, self.images, self.seed = breadth, images, seed
        self.pipeline = Compose([TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline])

    @property
    def endless(self) -> bool:
        """Whether every index is an image of its own."""
        return self.images is None

    def __len__(self) -> int:
        return ENDLESS_LENGTH if self.images is None else self.images

    def full_init(self) -> None:
        """Does nothing: there are no annotations to load."""

    def get_data_info(self, index: int) -> dict[str, Any]:
        """Image ``index`` before the pipeline."""
        synthetic = stream_image(self.seed, index, self.size, self.breadth)
        crops = synthetic.crops
        masks = CroppedMasks(crops, *self.size)
        label = 0 if len(self.classes) == 1 else self.classes.index(synthetic.cell_type)
        return {
            'img_id': f'synthetic{index}',
            'img_path': f'synthetic image {index} of seed {self.seed}',
            'img': cv2.cvtColor(synthetic.image, cv2.COLOR_GRAY2BGR),
            'img_shape': self.size,
            'ori_shape': self.size,
            'height': self.size[0],
            'width': self.size[1],
            'cell_type': synthetic.cell_type,
            'instances': [_instance(crop, label) for crop in crops],
            'gt_masks': masks,
            'gt_bboxes': masks.get_bboxes(),
            'gt_bboxes_labels': np.full(len(crops), label, dtype=np.int64),
            'gt_ignore_flags': np.zeros(len(crops), dtype=bool),
        }

    def __getitem__(self, index: int) -> Any:
        info = self.get_data_info(index)
        del info['instances']
        return self.pipeline(info)


def _instance(crop: MaskCrop, label: int) -> dict[str, Any]:
    """A cell as the data sets of files describe it, without its mask."""
    return {'bbox': list(crop.window), 'bbox_label': label, 'ignore_flag': 0}
