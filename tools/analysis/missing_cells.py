"""Lists confident predictions without a label, and labels that are never predicted, with a picture of each."""

import sys
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.paths import DEFAULT_POSTPROCESS, display_path
from sartorius.visualization import MAX_PICTURES


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
    parser.add_argument('--postprocess', type=Path, default=DEFAULT_POSTPROCESS, help='post-processing file')
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
    from sartorius.postprocess.chain import load_chain
    from sartorius.postprocess.missing_cells import check_sources, compare_files, format_counts, read_labels
    from sartorius.predictions.store import read_header
    from sartorius.visualization.missing_cells_page import write_missing_cells_page

    for sentence in check_sources(options.predictions):
        print(f'warning: {sentence}', file=sys.stderr)
    chain = load_chain(options.postprocess)
    given = {name: getattr(options, name) for name in ('iou', 'covered')}
    limits = Limits(**{name: value for name, value in given.items() if value is not None})
    labels = read_labels(options.annotations)
    comparisons = compare_files(options.predictions, labels, chain)
    missing = list_missing(labels.images, labels.cell_types, comparisons, limits, options.min_score)
    source = {
        'annotations': display_path(options.annotations),
        'images': display_path(options.images),
        'post-processing file': display_path(options.postprocess),
        'post-processing': chain.to_config(),
        'predictions': {display_path(path): read_header(path).source.to_dict() for path in options.predictions},
    }
    written = write_missing_cells_page(
        options.out, missing, comparisons, labels, limits, options.images, source, options.max_pictures
    )
    print(format_counts(missing.counts))
    dropped = len(labels.images) - len(comparisons)
    if dropped:
        print(f'{dropped} annotated images are in none of the predictions files and were not compared')
    for path in written:
        print(f'wrote {display_path(path)}')


if __name__ == '__main__':
    run_tool(main)
