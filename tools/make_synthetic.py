"""Makes a synthetic data set in the competition's layout."""

import argparse
import re
from collections.abc import Sequence

from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.paths import display_path

DEFECTS = ('convex-filled', 'hollow', 'duplicated', 'missing')


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and makes the data set."""
    parser = make_parser(
        'Make phase-contrast images of three cell types with exactly known masks, as train/, train.csv, test/, '
        'test_truth.csv, sample_submission.csv and train_semi_supervised/.',
        'python tools/make_synthetic.py --out work_dirs/synthetic --images 60 --size 256x192 --workers 2',
    )
    parser.add_argument('--out', required=True, help='folder for the data set; must not exist or be empty')
    parser.add_argument('--images', type=int, default=48, help='training images')
    parser.add_argument('--test-images', type=int, default=12, help='test images, with their truth')
    parser.add_argument('--unlabelled-images', type=int, default=6, help='images without masks')
    parser.add_argument('--size', type=_size, default='704x520', metavar='WxH', help='width and height in pixels')
    parser.add_argument('--density', type=float, default=1.0, help='factor on the number of cells for a given area')
    parser.add_argument(
        '--cell-types', nargs='+', choices=CELL_TYPES, default=list(CELL_TYPES), metavar='TYPE', help='take turns'
    )
    parser.add_argument(
        '--defects',
        nargs='+',
        type=_defect,
        default=[],
        metavar='DEFECT=RATE',
        help=f'label defects to plant in train.csv, of {", ".join(DEFECTS)}, each with its share of the cells',
    )
    parser.add_argument('--seed', type=int, default=0, help='the same seed and options give the same bytes')
    parser.add_argument('--workers', type=int, default=1, help='processes')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier synthetic data set at --out')
    args = parser.parse_args(argv)

    from sartorius.synthetic import DatasetPlan, DefectRates, make_dataset
    from sartorius.utils.errors import InputError, UsageError

    try:
        plan = DatasetPlan(
            images=args.images,
            test_images=args.test_images,
            unlabelled_images=args.unlabelled_images,
            size=args.size,
            density=args.density,
            cell_types=tuple(args.cell_types),
            defects=DefectRates(**{name.replace('-', '_'): rate for name, rate in args.defects}),
            seed=args.seed,
        )
    except InputError as error:
        raise UsageError(str(error)) from None
    made = make_dataset(args.out, plan, workers=args.workers, overwrite=args.overwrite)
    print(
        f'{display_path(args.out)}: {made.images} training images with {made.train_cells} cells, {made.test_images} '
        f'test images with {made.test_cells} cells, {made.unlabelled_images} without masks'
        + (f'; {made.defects} label defects planted, listed in defects.csv' if args.defects else '')
    )


def _size(text: str) -> tuple[int, int]:
    """``(height, width)`` from ``WxH``."""
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if match is None:
        raise argparse.ArgumentTypeError(f'{text!r} is no size; write width x height, for example 704x520')
    return int(match[2]), int(match[1])


def _defect(text: str) -> tuple[str, float]:
    """Name and rate from ``NAME=RATE``."""
    name, _, rate = text.partition('=')
    if name not in DEFECTS or re.fullmatch(r'\d*\.?\d+', rate) is None:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no defect; write one of {", ".join(DEFECTS)} and its share, for example hollow=0.1'
        )
    return name, float(rate)


if __name__ == '__main__':
    run_tool(main)
