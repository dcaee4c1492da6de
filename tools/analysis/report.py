"""Writes an HTML page about one predictions file: scores, errors, a sortable table of the images, and pictures."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.paths import display_path
from sartorius.visualization import MAX_IMAGES


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and writes the page."""
    parser = make_parser(
        'Write an HTML page (one file, needs no network) that shows the predictions, and with annotations their '
        'scores and errors. For the annotations themselves see tools/analysis/data_report.py.',
        'python tools/analysis/report.py work_dirs/fused.npz --images data/sartorius/train --annotations '
        'data/sartorius/train.csv --out work_dirs/report',
    )
    parser.add_argument('predictions', type=Path, help='predictions file that tools/test.py or tools/ensemble.py wrote')
    parser.add_argument('--images', type=Path, required=True, help='folder with the predicted images')
    parser.add_argument('--annotations', type=Path, help='COCO .json or competition .csv with the ground truth')
    parser.add_argument(
        '--postprocess',
        type=Path,
        help='chain (.json or .py); the default one for the classes of the predictions if not given',
    )
    parser.add_argument(
        '--max-images', type=int, default=MAX_IMAGES, help='maximum number of images to show; the table lists all'
    )
    parser.add_argument(
        '--errors', type=Path, metavar='CSV', help='write one row per cell: kind of error, IoU, area, position, cost'
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to write index.html in')
    options = parser.parse_args(argv)
    if options.max_images < 0:
        raise UsageError(f'--max-images is {options.max_images}; it must be 0 or more')
    if options.errors and not options.annotations:
        raise UsageError('--errors needs --annotations: errors can be classified only against ground truth')
    if not options.images.is_dir():
        raise UsageError(f'{display_path(options.images)} is not a folder; name the one that holds the images')

    from sartorius.annotations.reading import load_annotations, load_groups
    from sartorius.postprocess.chain import load_chain_for
    from sartorius.postprocess.evaluate import evaluate_predictions
    from sartorius.predictions.store import load_predictions
    from sartorius.utils.files import atomic_path, file_set
    from sartorius.utils.spreadsheets import write_table
    from sartorius.visualization.report_page import write_report

    predictions = load_predictions(options.predictions)
    chain, chain_file = load_chain_for(predictions.classes, options.postprocess)
    gt = load_annotations(options.annotations) if options.annotations else None
    groups = load_groups(options.annotations) if options.annotations else None
    report = evaluate_predictions(predictions, chain, gt, groups)
    source = {
        'predictions': display_path(options.predictions),
        'images': display_path(options.images),
        'annotations': display_path(options.annotations) if options.annotations else None,
        'post-processing file': display_path(chain_file),
    }
    with file_set():
        page = write_report(options.out, report, options.images, source, options.max_images)
        if options.errors:
            with atomic_path(options.errors) as temporary:
                write_table(temporary, report.errors.cells, '%.6g')
    print(f'wrote {display_path(page)}')
    if options.errors:
        print(f'wrote {display_path(options.errors)}')


if __name__ == '__main__':
    run_tool(main)
