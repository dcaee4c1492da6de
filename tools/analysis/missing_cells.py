"""Lists confident predictions without a label, and labels that are never predicted, with a picture of each."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.paths import display_path
from sartorius.visualization import MAX_PICTURES

if TYPE_CHECKING:
    from sartorius.label_quality.missing_files import Labels
    from sartorius.masks.crop import MaskCrop
    from sartorius.postprocess.chain import Chain
    from sartorius.predictions.structures import ImagePredictions


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and writes page and lists."""
    parser = make_parser(
        'Find possible mistakes in annotations: confident predictions without a label, and labels that no model ever '
        'predicts. The predictions must be of images that the models did not learn from. Writes index.html, '
        'unlabelled.csv and never_predicted.csv.',
        'python tools/analysis/missing_cells.py work_dirs/mrcnn_r50_fold*/predictions_val.npz --annotations '
        'data/sartorius/train.csv --images data/sartorius/train --out work_dirs/missing',
    )
    parser.add_argument(
        'predictions',
        nargs='+',
        type=Path,
        help='files of tools/test.py --split val, tools/ensemble.py or tools/data/concat_predictions.py; an image may '
        'be in several',
    )
    parser.add_argument('--annotations', type=Path, required=True, help='COCO .json or competition .csv')
    parser.add_argument('--images', type=Path, required=True, help='folder with the annotated images')
    parser.add_argument('--out', type=Path, required=True, help='folder to write the page and the two lists in')
    parser.add_argument(
        '--postprocess',
        type=Path,
        help='chain (.json or .py); the default one for the classes of the predictions if not given',
    )
    parser.add_argument(
        '--min-score',
        type=float,
        metavar='SCORE',
        help='min. score of predictions without a label, whatever their type; by default for each cell type the score '
        'that three quarters of its true positives reach',
    )
    parser.add_argument(
        '--iou',
        type=float,
        help='a prediction has no label when its IoU with each is below this; a label is never predicted when its IoU '
        'with no candidate is above it; by default the IoU below which TIDE takes a detection for background',
    )
    parser.add_argument(
        '--covered',
        type=float,
        help='a prediction has no label when labels cover less than this part of its pixels; by default more than '
        'neighbours that touch share (docs/label_quality.md)',
    )
    parser.add_argument(
        '--max-pictures', type=int, default=MAX_PICTURES, help='maximum number of pictures of each list and cell type'
    )
    options = parser.parse_args(argv)
    for name in ('iou', 'covered', 'min_score'):
        value = getattr(options, name)
        # Written so that NaN fails too.
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f'--{name.replace("_", "-")} is {value:g}; it must lie between 0 and 1')
    if options.max_pictures < 0:
        raise UsageError(f'--max-pictures is {options.max_pictures}; it must be 0 or more')
    if not options.images.is_dir():
        raise UsageError(f'{display_path(options.images)} is not a folder; name the one that holds the images')

    from sartorius.label_quality.missing import Limits, list_missing
    from sartorius.label_quality.missing_files import check_sources, compare_images, format_counts, read_labels
    from sartorius.postprocess.chain import load_chain_for
    from sartorius.predictions.store import read_header
    from sartorius.visualization.missing_cells_page import write_missing_cells_page

    headers = {path: read_header(path) for path in options.predictions}
    sources = {path: header.source for path, header in headers.items()}
    for sentence in check_sources((path, sources[path]) for path in options.predictions):
        print(f'warning: {sentence}', file=sys.stderr)
    classes = tuple(dict.fromkeys(name for header in headers.values() for name in header.classes))
    chain, chain_file = load_chain_for(classes, options.postprocess)
    given = {name: getattr(options, name) for name in ('iou', 'covered')}
    limits = Limits(**{name: value for name, value in given.items() if value is not None})
    labels = read_labels(options.annotations)
    comparisons = compare_images(_postprocessed(options.predictions, labels, chain), labels)
    missing = list_missing(labels.images, labels.cell_types, comparisons, limits, options.min_score)
    origin = {
        'annotations': display_path(options.annotations),
        'images': display_path(options.images),
        'post-processing file': display_path(chain_file),
        'post-processing': chain.to_config(),
        'predictions': {display_path(path): source.to_dict() for path, source in sources.items()},
    }
    written = write_missing_cells_page(
        options.out, missing, comparisons, labels, limits, options.images, origin, options.max_pictures
    )
    print(format_counts(missing.counts))
    dropped = len(labels.images) - len(comparisons)
    if dropped:
        print(f'{dropped} annotated images are in none of the predictions files and were not compared')
    for path in written:
        print(f'wrote {display_path(path)}')


def _postprocessed(
    paths: Sequence[Path], labels: 'Labels', chain: 'Chain'
) -> 'Iterator[tuple[ImagePredictions, tuple[MaskCrop, ...]]]':
    """Post-processed predictions of each image of each file, and the masks of all candidates before it."""
    from sartorius.label_quality.missing_files import match_images
    from sartorius.postprocess.chain import postprocess_all
    from sartorius.postprocess.steps import with_crops
    from sartorius.predictions.store import load_predictions
    from sartorius.utils.cli import progress

    for path in paths:
        name = display_path(path)
        predictions = match_images(load_predictions(path), name, labels)
        pred = postprocess_all(predictions, chain)
        for image in progress(predictions.images, name):
            yield pred[image.image_id], with_crops(image).crops


if __name__ == '__main__':
    run_tool(main)
