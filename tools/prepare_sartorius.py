"""Turns the competition's CSV into COCO JSON and folds."""

import os
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.locks import lock_folder
from sartorius.utils.paths import BASE_DIR, WORK_DIRS, display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and prepares."""
    parser = make_parser(
        "Turn the competition's training CSV (five or nine columns) into COCO JSON with folds: stratified by class, no "
        'well in two folds. Writes all.json, fold{k}_train.json and fold{k}_val.json, test.json and unlabelled.json '
        'where their images are, folds.csv and summary.md.',
        'python tools/prepare_sartorius.py --data-root data/sartorius --folds 5',
    )
    data_root = Path(os.environ.get('SARTORIUS_DATA') or BASE_DIR / 'data' / 'sartorius')
    parser.add_argument(
        '--data-root', type=Path, metavar='DIR', default=data_root, help='folder with train/ and train.csv'
    )
    parser.add_argument(
        '--out', type=Path, metavar='DIR', default=WORK_DIRS / 'data' / 'sartorius', help='folder to write to'
    )
    parser.add_argument('--folds', type=int, default=5, help='number of folds')
    parser.add_argument('--seed', type=int, default=0, help='seed of the folds')
    parser.add_argument('--fill-holes', action='store_true', help='fill the holes of hollow masks')
    parser.add_argument(
        '--csv', type=Path, nargs='+', metavar='FILE', help='training CSVs; DATA_ROOT/train.csv if none'
    )
    missing = parser.add_mutually_exclusive_group()
    missing.add_argument('--skip-missing-images', action='store_true', help='drop annotated images that have no file')
    missing.add_argument(
        '--no-image-check', action='store_true', help='do not read the annotated images; keep those without a file'
    )
    args = parser.parse_args(argv)
    if args.folds < 2:
        parser.error(f'--folds {args.folds}: cross-validation needs 2 or more')

    from sartorius.annotations.preparation import PreparationOptions, prepare_sartorius

    options = PreparationOptions(
        data_root=args.data_root,
        csv_paths=tuple(args.csv or ()),
        folds=args.folds,
        seed=args.seed,
        fill_holes=args.fill_holes,
        skip_missing_images=args.skip_missing_images,
        check_images=not args.no_image_check,
    )
    with lock_folder(args.out, 'preparation'):
        print(prepare_sartorius(options, args.out))
    print(f'\nwritten to {display_path(args.out)}')


if __name__ == '__main__':
    run_tool(main)
