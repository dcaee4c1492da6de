"""Compares the project's metric with those of Cellpose and StarDist on random label images.

Neither is a dependency: install them beside the project (`pip install cellpose stardist`) to run it.

All three count TP, FP and FN by one-to-one pairs above an IoU threshold, and coincide where neither ground truth nor
predictions overlap among themselves and at least one of the two has a cell. The others count an IoU that equals the
threshold as a true positive, so they are called with thresholds higher by MARGIN, within which no IoU of whole pixel
counts of these images lies; and once more with the thresholds themselves, to count how often an IoU at a threshold
makes a difference.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.evaluation.metric import IOU_THRESHOLDS, count_tp
from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou
from sartorius.utils.cli import make_parser, progress, run_tool
from sartorius.utils.errors import UsageError

SIZE = (96, 128)
# StarDist's IoU is a float32, exact to 3e-8; two different fractions k/20 and p/q of these images lie 1/(20 q) > 4e-6
# apart.
MARGIN = 1e-6

Counter = Callable[[NDArray[np.int32], NDArray[np.int32], Sequence[float]], NDArray[np.int64]]


def draw_pair(rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Label images of ground truth and predictions: discs and rectangles, some of them shifted, missed or spurious."""
    gt, pred = np.zeros(SIZE, np.int32), np.zeros(SIZE, np.int32)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for label in range(1, int(rng.integers(0, 40)) + 1):
        y, x, height, width = rng.uniform(0, SIZE[0]), rng.uniform(0, SIZE[1]), *rng.integers(2, 12, size=2)
        round_cell, shift = rng.random() < 0.5, rng.integers(-2, 3, size=2) * (rng.random() < 0.7)
        for image, present, (dy, dx) in ((gt, 0.9, (0, 0)), (pred, 0.9, shift)):
            if rng.random() < present:
                across, along = (rows - y - dy) / height, (columns - x - dx) / width
                inside = across**2 + along**2 < 1 if round_cell else np.maximum(abs(across), abs(along)) < 1
                image[inside] = label
    return gt, pred


def count_ours(gt: NDArray[np.int32], pred: NDArray[np.int32]) -> NDArray[np.int64]:
    """True positives by this project."""
    cells = [[MaskCrop.from_full(image == label) for label in np.unique(image[image > 0])] for image in (gt, pred)]
    return count_tp(mask_iou(*cells, SIZE))


def count_cellpose(gt: NDArray[np.int32], pred: NDArray[np.int32], thresholds: Sequence[float]) -> NDArray[np.int64]:
    """True positives by cellpose.metrics.average_precision, which needs labels without gaps."""
    from cellpose.metrics import average_precision

    images = [np.unique(image, return_inverse=True)[1].reshape(SIZE) for image in (gt, pred)]
    return average_precision(*images, threshold=list(thresholds))[1].astype(np.int64)


def count_stardist(gt: NDArray[np.int32], pred: NDArray[np.int32], thresholds: Sequence[float]) -> NDArray[np.int64]:
    """True positives by stardist.matching.matching."""
    from stardist.matching import matching

    return np.array([result.tp for result in matching(gt, pred, thresh=list(thresholds))])


def score(tp: NDArray[np.int64], gt: NDArray[np.int32], pred: NDArray[np.int32]) -> float:
    """Mean of TP / (TP + FP + FN) over the thresholds."""
    cells = sum(len(np.unique(image[image > 0])) for image in (gt, pred))
    return float((tp / (cells - tp)).mean())


def compare(name: str, count: Counter, pairs: Sequence[tuple[NDArray[np.int32], NDArray[np.int32]]]) -> None:
    """Prints how another package's true positives and scores differ from ours."""
    raised = [threshold + MARGIN for threshold in IOU_THRESHOLDS]
    different, largest, at_threshold, total = 0, 0.0, 0, 0
    for gt, pred in progress(pairs, name):
        ours, theirs = count_ours(gt, pred), count(gt, pred, raised)
        different += bool((ours != theirs).any())
        largest = max(largest, abs(score(ours, gt, pred) - score(theirs, gt, pred)))
        at_threshold += bool((ours != count(gt, pred, IOU_THRESHOLDS)).any())
        total += int(ours.sum())
    print(
        f'{name} {importlib.metadata.version(name)}: {len(pairs)} image pairs, {total} TP over all thresholds; '
        f'images with other TP: {different}, largest difference of a score: {largest:.1e}; '
        f'with >= in place of >, {at_threshold} images have other TP'
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and compares with whichever package is installed."""
    parser = make_parser(__doc__.splitlines()[0], 'python benchmarks/validation/agree_with_cellpose.py --images 400')
    parser.add_argument('--images', type=int, default=400, help='number of image pairs')
    parser.add_argument('--seed', type=int, default=0, help='seed of the images')
    args = parser.parse_args(argv)

    rng = np.random.default_rng(args.seed)
    pairs = [pair for pair in (draw_pair(rng) for _ in range(args.images)) if pair[0].any() or pair[1].any()]
    counters = {'cellpose': count_cellpose, 'stardist': count_stardist}
    installed = [name for name in counters if importlib.util.find_spec(name)]
    if not installed:
        raise UsageError('neither cellpose nor stardist is installed; pip install cellpose stardist')
    for name in installed:
        compare(name, counters[name], pairs)


if __name__ == '__main__':
    run_tool(main)
