"""Writes a synthetic data set in the competition's layout, in LIVECell's, or of the stream that training draws."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import make_parser, name_tools, run_tool
from sartorius.utils.locks import lock_folder
from sartorius.utils.paths import display_path

if TYPE_CHECKING:
    from sartorius.synthetic import DatasetPlan, LivecellPlan, MasksPlan, StreamPlan

# Options that only some of the four kinds of data sets have.
OPTIONS_OF = {
    'form': ('competition', 'livecell'),
    'unlabelled_images': ('competition',),
    'cell_types': ('competition',),
    'defects': ('competition',),
    'val_images': ('livecell',),
    'test_images': ('competition', 'livecell'),
    'density': ('competition', 'livecell'),
    'size': ('competition', 'livecell', 'stream'),
    'first': ('stream',),
    'sheet': ('stream',),
}
BREADTHS = ('types', 'lines', 'drawn')
SHEET_IMAGES = 48
DEFECTS = (
    'convex-filled', 'hollow', 'duplicated', 'missing', 'speck', 'pieces', 'sliver', 'overlapping', 'outsized',
    'wrong-class', 'twice',
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and makes the data set."""
    parser = make_parser(
        'Write synthetic phase-contrast images of three cell types with exactly known masks, as train/, train.csv, '
        "test/, test_gt.csv, sample_submission.csv and train_semi_supervised/; of eight invented types in LIVECell's "
        'layout; with --breadth, the images that configs/shipped/cells_r18.py draws in training; or, with --masks, new '
        'pictures for masks that people drew.',
        'python tools/data/make_synthetic.py --out work_dirs/synthetic --images 60 --size 256x192 --workers 2\n'
        '  python tools/data/make_synthetic.py --form livecell --out work_dirs/eight_types --images 64\n'
        '  python tools/data/make_synthetic.py --breadth drawn --sheet sheet.png\n'
        '  python tools/data/make_synthetic.py --masks data/sartorius/train.csv --out work_dirs/rendered',
    )
    parser.add_argument('--out', help='folder for the data set; must not exist or be empty')
    parser.add_argument(
        '--form',
        choices=('competition', 'livecell'),
        help='layout, and cell types: three (competition, if not given), or eight invented ones under the names of the '
        'LIVECell lines',
    )
    parser.add_argument(
        '--breadth',
        choices=BREADTHS,
        help='images of the endless stream that training draws, with masks in COCO JSON: of the three types, of eleven '
        'kinds, or of kinds and looks drawn for each image',
    )
    parser.add_argument(
        '--masks',
        type=Path,
        metavar='CSV',
        help='pictures for the masks of a CSV in the form of train.csv, one for each of its images (or --images of them)',
    )
    parser.add_argument('--first', type=int, metavar='N', help='breadth: number of the first image in the stream (0)')
    parser.add_argument(
        '--sheet',
        type=Path,
        metavar='PNG',
        help=f'breadth: picture of the first {SHEET_IMAGES} images without and with outlines; needs no --out',
    )
    parser.add_argument('--images', type=int, metavar='N', help='training images (48)')
    parser.add_argument('--test-images', type=int, metavar='N', help='test images, with their ground truth (12)')
    parser.add_argument('--val-images', type=int, metavar='N', help='livecell: validation images (8)')
    parser.add_argument('--unlabelled-images', type=int, metavar='N', help='competition: images without masks (6)')
    parser.add_argument(
        '--size', type=_size, metavar='WxH', help='width and height in pixels (704x520; of the stream 256x256)'
    )
    parser.add_argument('--density', type=float, metavar='F', help='factor on the number of cells for a given area (1)')
    parser.add_argument(
        '--cell-types',
        nargs='+',
        choices=CELL_TYPES,
        metavar='TYPE',
        help=f'competition: types, which alternate ({" ".join(CELL_TYPES)})',
    )
    parser.add_argument(
        '--defects',
        nargs='+',
        type=_defect,
        default=[],
        metavar='DEFECT=RATE',
        help=f'competition: label defects to plant, of {", ".join(DEFECTS)}, each with its share of the cells; twice '
        'with its share of the images',
    )
    parser.add_argument('--seed', type=int, default=0, help='the same seed and options give the same bytes')
    parser.add_argument('--workers', type=int, default=1, help='processes')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier synthetic data set at --out')
    args = parser.parse_args(argv)

    if args.breadth and args.masks:
        parser.error('give --breadth or --masks, not both')
    kind = 'stream' if args.breadth else 'masks' if args.masks else args.form or 'competition'
    for name, kinds in OPTIONS_OF.items():
        if kind not in kinds and getattr(args, name) not in (None, []):
            chosen = {'stream': f'--breadth {args.breadth}', 'masks': '--masks'}.get(kind, f'--form {kind}')
            parser.error(f'--{name.replace("_", "-")} is not for {chosen}')
    if args.out is None and args.sheet is None:
        parser.error('the following arguments are required: --out')
    args.size = args.size or ((256, 256) if args.breadth else (520, 704))
    if kind != 'masks' and args.images is None:
        args.images = 48

    from sartorius.utils.errors import InputError, UsageError

    plan_of, make = {
        'competition': (_competition_plan, _make_competition),
        'livecell': (_livecell_plan, _make_livecell),
        'stream': (_stream_plan, _make_stream),
        'masks': (_masks_plan, _make_masks),
    }[kind]
    try:
        plan = plan_of(args)
    except InputError as error:
        raise UsageError(str(error)) from None
    make(args, plan)


def _stream_plan(args: argparse.Namespace) -> 'StreamPlan':
    from sartorius.synthetic import StreamPlan

    return StreamPlan(
        images=args.images, first=args.first or 0, size=args.size, breadth=args.breadth, seed=args.seed
    )


def _make_stream(args: argparse.Namespace, plan: 'StreamPlan') -> None:
    from sartorius.synthetic import make_stream_dataset, stream_image
    from sartorius.visualization.contact_sheet import write_contact_sheet

    if args.out is not None:
        with lock_folder(args.out, 'synthesis', beside=True):
            summary = make_stream_dataset(Path(args.out), plan, workers=args.workers, overwrite=args.overwrite)
        print(f'{display_path(args.out)}: {summary.images} images with {summary.cells} cells')
        folders = f'--data-root {display_path(args.out)} --annotations {display_path(args.out)}'
        print(name_tools(f'next: python tools/train.py configs/own/mrcnn_r18.py {folders} --fold all'))
    if args.sheet is not None:
        numbers = range(plan.first, plan.first + min(plan.images, SHEET_IMAGES))
        images = (stream_image(plan.seed, number, plan.size, plan.breadth) for number in numbers)
        write_contact_sheet(args.sheet, ((image.image, image.crops) for image in images))
        print(f'wrote {display_path(args.sheet)}')


def _masks_plan(args: argparse.Namespace) -> 'MasksPlan':
    from sartorius.synthetic import MasksPlan

    return MasksPlan(masks=args.masks, images=args.images, seed=args.seed)


def _make_masks(args: argparse.Namespace, plan: 'MasksPlan') -> None:
    from sartorius.synthetic import make_masks_dataset

    with lock_folder(args.out, 'synthesis', beside=True):
        summary = make_masks_dataset(Path(args.out), plan, workers=args.workers, overwrite=args.overwrite)
    print(f'{display_path(args.out)}: {summary.images} pictures of {summary.cells} cells')
    print(name_tools(f'next: python tools/prepare_sartorius.py --data-root {display_path(args.out)} --out DIR'))


def _competition_plan(args: argparse.Namespace) -> 'DatasetPlan':
    from sartorius.synthetic import DatasetPlan, DefectRates

    return DatasetPlan(
        images=args.images,
        test_images=12 if args.test_images is None else args.test_images,
        unlabelled_images=6 if args.unlabelled_images is None else args.unlabelled_images,
        size=args.size,
        density=1.0 if args.density is None else args.density,
        cell_types=tuple(args.cell_types or CELL_TYPES),
        defects=DefectRates(**{name.replace('-', '_'): rate for name, rate in args.defects}),
        seed=args.seed,
    )


def _livecell_plan(args: argparse.Namespace) -> 'LivecellPlan':
    from sartorius.synthetic import LivecellPlan

    return LivecellPlan(
        images=args.images,
        val_images=8 if args.val_images is None else args.val_images,
        test_images=12 if args.test_images is None else args.test_images,
        size=args.size,
        density=1.0 if args.density is None else args.density,
        seed=args.seed,
    )


def _make_livecell(args: argparse.Namespace, plan: 'LivecellPlan') -> None:
    from sartorius.synthetic import make_livecell

    with lock_folder(args.out, 'synthesis', beside=True):
        summary = make_livecell(args.out, plan, workers=args.workers, overwrite=args.overwrite)
    counts = summary.images.items()
    parts = ', '.join(f'{count} {split} images with {summary.cells[split]} cells' for split, count in counts)
    print(f'{display_path(args.out)}: {parts}')
    print(name_tools(f'next: python tools/data/prepare_livecell.py --data-root {display_path(args.out)} --out DIR'))


def _make_competition(args: argparse.Namespace, plan: 'DatasetPlan') -> None:
    from sartorius.synthetic import make_dataset

    with lock_folder(args.out, 'synthesis', beside=True):
        summary = make_dataset(args.out, plan, workers=args.workers, overwrite=args.overwrite)
    print(
        f'{display_path(args.out)}: {summary.images} training images with {summary.train_cells} cells, '
        f'{summary.test_images} test images with {summary.test_cells} cells, {summary.unlabelled_images} without masks'
        + (f'; {summary.defects} label defects planted, listed in defects.csv' if args.defects else '')
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
