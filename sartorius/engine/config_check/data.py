"""Boxes, classes and image sizes of a split, as the data set of the config reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.registry import DATASETS
from numpy.typing import NDArray

from sartorius.engine.config import SYNTHETIC_DATASET, innermost
from sartorius.masks.crop import Size

DRAWN = 32
"""Synthetic images by which a stream of them is checked."""


@dataclass(frozen=True)
class SplitBoxes:
    """Annotated cells of the images of a split that the config's data set keeps.

    Attributes:
        boxes: float64 ``(N, 4)``: ``x1, y1, x2, y2`` in pixels of the images on the disk.
        labels: int64 ``(N,)``: indices into ``classes``.
        images: int64 ``(N,)``: index of the image that each cell is in.
        sizes: int64 ``(M, 2)``: height and width of each image.
        names: Id of each image.
        paths: File of each image; empty where they are drawn.
        classes: Class names.
        file: The annotation file; None where the images are drawn.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    images: NDArray[np.int64]
    sizes: NDArray[np.int64]
    names: tuple[str, ...]
    paths: tuple[Path, ...]
    classes: tuple[str, ...]
    file: Path | None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of cells in each image: ``(M,)``."""
        return np.bincount(self.images, minlength=len(self.names))

    @property
    def fullest(self) -> int:
        """Index of the image with the most cells."""
        return int(self.counts.argmax())

    def different_sizes(self) -> list[Size]:
        """Distinct image sizes."""
        return [(int(height), int(width)) for height, width in np.unique(self.sizes, axis=0)]


def read_split(dataloader: Mapping[str, Any]) -> SplitBoxes:
    """Reads the annotations of a data loader's data set, without its images; of synthetic images, draws the first ones.

    Raises:
        InputError: The annotation file is missing, broken or has other classes.
    """
    config = innermost(dataloader['dataset'])
    if config['type'] == SYNTHETIC_DATASET:
        dataset = DATASETS.build(dict(config, pipeline=[]))
        samples = [dataset.get_data_info(index) for index in range(min(len(dataset), DRAWN))]
        return _split_of(samples, dataset.metainfo, paths=(), file=None)
    dataset = DATASETS.build(dict(config, pipeline=[], serialize_data=False, lazy_init=True))
    dataset.full_init()
    samples = dataset.data_list
    paths = tuple(Path(sample['img_path']) for sample in samples)
    return _split_of(samples, dataset.metainfo, paths, Path(dataset.ann_file))


def _split_of(
    samples: Sequence[Mapping[str, Any]], metainfo: Mapping[str, Any], paths: tuple[Path, ...], file: Path | None
) -> SplitBoxes:
    instances = [(number, instance) for number, sample in enumerate(samples) for instance in sample['instances']]
    return SplitBoxes(
        boxes=np.array([instance['bbox'] for _, instance in instances], dtype=np.float64).reshape(-1, 4),
        labels=np.array([instance['bbox_label'] for _, instance in instances], dtype=np.int64),
        images=np.array([number for number, _ in instances], dtype=np.int64),
        sizes=np.array([(sample['height'], sample['width']) for sample in samples], dtype=np.int64).reshape(-1, 2),
        names=tuple(str(sample['img_id']) for sample in samples),
        paths=paths,
        classes=tuple(metainfo['classes']),
        file=file,
    )


def max_in_window(boxes: NDArray[np.float64], size: Size, window: tuple[float, float]) -> int:
    """Maximum number of cells whose centre lies in one window of an image.

    Windows are tried at steps of an eighth of their size, so one in between may hold a few more.

    Args:
        boxes: ``(N, 4)``.
        size: Height and width of the image.
        window: Height and width of the window, in the same pixels.
    """
    if len(boxes) == 0 or (window[0] >= size[0] and window[1] >= size[1]):
        return len(boxes)
    step = (window[0] / 8, window[1] / 8)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    rows, columns = (centres[:, 1] / step[0]).astype(int), (centres[:, 0] / step[1]).astype(int)
    counts = np.zeros((rows.max() + 9, columns.max() + 9), dtype=np.int64)
    np.add.at(counts, (rows + 8, columns + 8), 1)
    total = counts.cumsum(axis=0).cumsum(axis=1)
    return int((total[8:, 8:] - total[:-8, 8:] - total[8:, :-8] + total[:-8, :-8]).max())
