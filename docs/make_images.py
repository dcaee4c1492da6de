"""Draws docs/images: overview.jpg, synthetic images of the three cell types with ground truth and predictions, and
shipped.jpg, what the model of the package finds in synthetic images that it did not learn from.

No images of a data set, since those must not be distributed.
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius import load_model
from sartorius.annotations.reading import load_annotations
from sartorius.evaluation.metric import image_score
from sartorius.images.files import find_image
from sartorius.images.grey_levels import stretch
from sartorius.images.reading import read_for_display
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.overlap import mask_iou
from sartorius.postprocess.chain import load_chain_for
from sartorius.postprocess.evaluate import evaluate_predictions
from sartorius.predictions.store import load_predictions
from sartorius.synthetic.image import make_image
from sartorius.synthetic.stream import stream_image
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.files import atomic_path
from sartorius.utils.paths import BASE_DIR, display_path
from sartorius.visualization.gallery import Example
from sartorius.visualization.overlay import draw_cells, side_by_side

SIZE = (312, 416)
SEED = 20
CELLS = {'shsy5y': 95, 'astro': 26, 'cort': 16}
# Of the stream of synthetic images; the training of the model read that of its own seed, 0.
SHIPPED_SEED = 1000
SHIPPED_IMAGES = 48
SHIPPED_SIZE = (256, 256)
# Places among these images, the best first: from good to hopeless.
SHIPPED_RANKS = (2, 8, 16, 24, 32, 38, 43, 46)


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and draws."""
    parser = make_parser(
        'Draw the picture of the README: synthetic images with their ground truth; with --predictions, --images and '
        '--annotations of a synthetic data set, the image of the median score of each cell type. Or, with --shipped, '
        'the picture of docs/predict.md.',
        'python docs/make_images.py --predictions work_dirs/demo/fold0/fused/predictions_test.npz '
        '--images work_dirs/demo/data/test --annotations work_dirs/demo/data/test_gt.csv\n'
        '  python docs/make_images.py --shipped',
    )
    parser.add_argument(
        '--shipped',
        action='store_true',
        help=f'show the model of the package at work: images from the best to the worst of {SHIPPED_IMAGES}',
    )
    parser.add_argument('--predictions', type=Path, help='predictions file')
    parser.add_argument('--images', type=Path, help='folder with its images')
    parser.add_argument('--annotations', type=Path, help='their ground truth')
    parser.add_argument('--postprocess', type=Path, help="post-processing file; the classes' default one if not given")
    parser.add_argument('--out', type=Path, help='picture to write (docs/images/overview.jpg or shipped.jpg)')
    options = parser.parse_args(argv)
    given = [options.predictions, options.images, options.annotations]
    if any(given) and not all(given):
        raise UsageError('--predictions, --images and --annotations go together; give all three or none')
    if options.shipped and (any(given) or options.postprocess):
        raise UsageError(
            '--shipped draws its own images and predicts them; leave out --predictions, --images, --annotations and '
            '--postprocess'
        )
    out = options.out or BASE_DIR / 'docs/images' / ('shipped.jpg' if options.shipped else 'overview.jpg')
    if options.shipped:
        picture = overview(shipped_examples())
    else:
        picture = overview(predicted_examples(options) if all(given) else made_examples())
    with atomic_path(out) as temporary:
        cv2.imwrite(str(temporary), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(f'wrote {display_path(out)}')


def made_examples() -> list[Example]:
    """One synthetic image of each cell type, without predictions."""
    rng = np.random.default_rng(SEED)
    scenes = [make_image(cell_type, SIZE, rng, cells=CELLS[cell_type]) for cell_type in CELL_TYPES]
    return [Example(scene.cell_type, scene.image, (), scene.crops) for scene in scenes]


def predicted_examples(options: Namespace) -> list[Example]:
    """The top left part of the image of the median score of each cell type."""
    gt = load_annotations(options.annotations)
    predictions = load_predictions(options.predictions)
    report = evaluate_predictions(predictions, load_chain_for(predictions.classes, options.postprocess)[0], gt)
    examples = []
    for cell_type in CELL_TYPES:
        rows = report.table[report.table['cell_type'] == cell_type].sort_values('score')
        if len(rows):
            image_id = rows.iloc[len(rows) // 2]['image_id']
            image = read_for_display(find_image(options.images, image_id))[: SIZE[0], : SIZE[1]]
            pred, gt_crops = report.pred[image_id].crops, report.gt[image_id].crops
            examples.append(Example(cell_type, image, _inside(pred, image.shape), _inside(gt_crops, image.shape)))
    return examples


def shipped_examples() -> list[Example]:
    """Images of the stream, from the best to the worst, as the model of the package sees them."""
    model = load_model()
    examples = []
    for number in range(SHIPPED_IMAGES):
        scene = stream_image(SHIPPED_SEED, number, SHIPPED_SIZE, 'drawn')
        crops = model.predict(scene.image).exported.frames[0].crops
        score = image_score(mask_iou(scene.crops, crops, SHIPPED_SIZE))
        examples.append(Example(f'{score:.2f}', scene.image, crops, scene.crops, score=score))
    examples.sort(key=lambda example: -example.score)
    return [examples[rank] for rank in SHIPPED_RANKS]


def overview(examples: Sequence[Example]) -> NDArray[np.uint8]:
    """One column per example; rows of images, ground truth and, if given, predictions."""
    images = [stretch(example.image) for example in examples]
    rows = [
        ([()] * len(examples), [f'{example.title}: image' for example in examples]),
        ([example.gt for example in examples], [f'ground truth: {len(example.gt)} cells' for example in examples]),
    ]
    if any(example.pred for example in examples):
        titles = [f'predictions: {len(example.pred)} cells' for example in examples]
        rows.append(([example.pred for example in examples], titles))
    pictures = [[draw_cells(image, layer) for image, layer in zip(images, layers, strict=True)] for layers, _ in rows]
    return np.vstack([side_by_side(row, titles) for row, (_, titles) in zip(pictures, rows, strict=True)])


def _inside(crops: Sequence[MaskCrop], size: Size) -> list[MaskCrop]:
    """The cells that overlap the top left part of this size, cut to it."""
    return [part for part in (crop.clipped(size) for crop in crops) if part.mask.any()]


if __name__ == '__main__':
    run_tool(main)
