"""Fuses several models' predictions into one predictions file."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.fusion.boxes import DEFAULT_METHOD
from sartorius.fusion.methods import METHODS
from sartorius.fusion.sets import fuse
from sartorius.predictions.search import DEFAULT_FUSED, plan_fusion
from sartorius.predictions.store import PredictionHeader, check_suffix, load_predictions, read_header, save_predictions
from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.paths import display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and fuses."""
    parser = make_parser(
        "Fuse several models' predictions, masks included, into one file; before any post-processing.",
        'python tools/ensemble.py work_dirs/mrcnn_r50/predictions_test.npz work_dirs/cmrcnn_r50/predictions_test.npz '
        '--method wbf --weights 1 2',
    )
    parser.add_argument(
        'predictions',
        nargs='*',
        type=Path,
        help='files of tools/test.py; if none is named, all under work_dirs/ that cover the same images as the newest',
    )
    parser.add_argument('--method', choices=tuple(METHODS), default=DEFAULT_METHOD, help='how boxes are fused')
    parser.add_argument('--weights', nargs='+', type=float, metavar='W', help='one a file, above 0; equal if not given')
    own = ', '.join(f'{name} {method.iou_threshold}' for name, method in METHODS.items())
    parser.add_argument('--iou', type=float, help=f'boxes that overlap by more are one cell; if not given: {own}')
    parser.add_argument('--score', type=float, default=0.1, help='leave out cells that their model scored lower')
    parser.add_argument('--across-classes', action='store_true', help='fuse cells of different classes too')
    parser.add_argument('--average-masks', action='store_true', help="nms: average the dropped cells' masks too")
    parser.add_argument('--out', type=Path, default=DEFAULT_FUSED, help='predictions file to write')
    options = parser.parse_args(argv)
    if options.average_masks and options.method != 'nms':
        parser.error(f'--average-masks is for --method nms; {options.method} averages masks anyway')

    check_suffix(options.out)
    paths = options.predictions or _choose_files()
    _check_paths(paths, options.out)
    if options.weights is not None and len(options.weights) != len(paths):
        raise UsageError(
            f'{len(options.weights)} weights for {len(paths)} files; give one weight a file, in their order'
        )
    headers = [read_header(path) for path in paths]
    _print_table(
        ['file', 'config', 'images', 'cells'],
        [
            [display_path(path), _origin(header), len(header.image_ids), sum(header.counts)]
            for path, header in zip(paths, headers, strict=True)
        ],
    )
    fused = fuse(
        [load_predictions(path) for path in paths],
        method=options.method,
        weights=options.weights,
        iou_threshold=options.iou,
        score_threshold=options.score,
        per_class=not options.across_classes,
        average_masks=options.average_masks,
        names=[display_path(path.resolve()) for path in paths],
    )
    save_predictions(options.out, fused)
    print(f'fused by {options.method}: {len(fused.images)} images, {sum(map(len, fused.images))} cells')
    print(f'wrote {display_path(options.out)}')
    print(f'next: python tools/make_submission.py {display_path(options.out)}')


def _choose_files() -> list[Path]:
    plan = plan_fusion()
    for path, reason in plan.left_out:
        print(f'left out: {display_path(path)}: {reason}')
    if len(plan.chosen) == 1:
        print(f'only {display_path(plan.chosen[0].path)} covers these images; no other model joins it')
    return [found.path for found in plan.chosen]


def _check_paths(paths: Sequence[Path], out: Path) -> None:
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise UsageError(f'{display_path(path)} is named twice; give it a greater weight with --weights instead')
        seen.add(path.resolve())
    if out.resolve() in seen:
        raise UsageError(f'--out {display_path(out)} is one of the files to fuse; choose another name')


def _origin(header: PredictionHeader) -> str:
    """What made a file, in a word or two."""
    source = header.source
    return f'fused ({source["method"]})' if header.is_fused else str(source.get('config') or source.get('kind') or '-')


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    lines = [[str(cell) for cell in row] for row in (titles, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print('  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == '__main__':
    run_tool(main)
