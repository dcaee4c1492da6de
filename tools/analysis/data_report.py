"""Writes an HTML page about a training CSV: statistics of its images and cells, and defects of its masks."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.paths import display_path
from sartorius.visualization import MAX_EXAMPLES


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and writes the page."""
    parser = make_parser(
        'Write an HTML page (one file, needs no network) about a training set: counts, areas, shapes, densities, '
        'brightness, folds, and each defect of its masks with counts and the clearest examples. Nothing is fixed; '
        'issues.csv beside the page has one row per issue.',
        'python tools/analysis/data_report.py data/sartorius/train.csv --out work_dirs/data_report',
    )
    parser.add_argument('train_csv', type=Path, metavar='TRAIN_CSV', help="training CSV in the competition's form")
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder with the images; by default train/ beside TRAIN_CSV if it exists. Of missing '
        'images only the masks are shown',
    )
    parser.add_argument(
        '--folds',
        type=Path,
        metavar='CSV',
        help='folds.csv of tools/prepare_sartorius.py; without it, the default folds of that tool',
    )
    parser.add_argument(
        '--max-examples', type=int, default=MAX_EXAMPLES, help='maximum number of examples of each defect'
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to write index.html and issues.csv in')
    options = parser.parse_args(argv)
    if options.max_examples < 0:
        raise UsageError(f'--max-examples is {options.max_examples}; it must be 0 or more')
    if options.images is not None and not options.images.is_dir():
        raise UsageError(f'{display_path(options.images)} is not a folder; name the one that holds the images')

    from sartorius.label_quality import Rules, clean, read_label_table
    from sartorius.label_quality.statistics import images_beside
    from sartorius.visualization.data_report_page import write_data_report

    images = options.images or images_beside(options.train_csv)
    rules = Rules()
    table = read_label_table(options.train_csv)
    cleaning = clean(table.images, rules=rules)
    page = write_data_report(options.out, table, cleaning, rules, images, options.folds, options.max_examples)
    print(f'{len(cleaning.issues):,} issues in {len(table.images):,} images')
    print(f'wrote {display_path(page)} and {display_path(page.with_name("issues.csv"))}')


if __name__ == '__main__':
    run_tool(main)
