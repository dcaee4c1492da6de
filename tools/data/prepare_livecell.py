"""Turns LIVECell's official JSONs into COCO JSON that can be trained on."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.paths import BASE_DIR, WORK_DIRS, display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and prepares."""
    parser = make_parser(
        "Turn LIVECell's official JSONs into train.json, val.json and test.json with RLE masks: images found in their "
        'folders, polygons rasterised, duplicate contours, slivers, images annotated twice, images of two splits and '
        'incompletely annotated images dropped, everything counted in summary.md.',
        'python tools/data/prepare_livecell.py --data-root data/livecell --single-class',
    )
    parser.add_argument(
        '--data-root',
        type=Path,
        metavar='DIR',
        default=BASE_DIR / 'data' / 'livecell',
        help='folder with the official annotations/ and images/',
    )
    parser.add_argument(
        '--out', type=Path, metavar='DIR', default=WORK_DIRS / 'data' / 'livecell', help='folder to write to'
    )
    parser.add_argument('--single-class', action='store_true', help='one class, cell, in place of the eight cell lines')
    parser.add_argument(
        '--keep-incomplete', action='store_true', help='keep images of which only a few cells are annotated'
    )
    parser.add_argument('--min-area', type=int, default=30, metavar='PX', help='drop cells of fewer pixels')
    parser.add_argument(
        '--skip-missing-images', action='store_true', help='drop annotated images that have no file'
    )
    args = parser.parse_args(argv)

    from sartorius.annotations.livecell import LivecellOptions, prepare_livecell

    options = LivecellOptions(
        data_root=args.data_root,
        single_class=args.single_class,
        keep_incomplete=args.keep_incomplete,
        min_area=args.min_area,
        skip_missing_images=args.skip_missing_images,
    )
    print(prepare_livecell(options, args.out))
    print(f'\nwritten to {display_path(args.out)}')


if __name__ == '__main__':
    run_tool(main)
