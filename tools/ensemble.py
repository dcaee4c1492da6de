"""Fuses several models' predictions into one predictions file."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from sartorius.fusion.methods import DEFAULT_METHOD, SET_METHODS, resolve_method
from sartorius.fusion.recipe import DEFAULT_SCORE, FusionMember, FusionRecipe, load_recipe
from sartorius.fusion.sets import fuse
from sartorius.predictions.coco_results import read_coco_results
from sartorius.predictions.provenance import ConcatenatedSource, FusedSource, ModelSource
from sartorius.predictions.search import DEFAULT_FUSED, plan_fusion
from sartorius.predictions.store import MAKE_COMMAND, check_suffix, load_predictions, save_predictions
from sartorius.predictions.structures import PredictionSet
from sartorius.utils.cli import make_parser, name_tools, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.paths import display_path

DEFAULT_BOXES = DEFAULT_FUSED.with_name('boxes.npz')
# Options that a config replaces.
CONFIG_OPTIONS = ('method', 'weights', 'iou', 'score', 'class_agnostic', 'average_masks')
DROPPED = {
    'low_score': 'cells under the score threshold',
    'unusable': 'cells without area inside the image or without score',
    'rejected': 'cells that the method rejected',
    'without_mask': 'fused boxes without a mask from any model',
}


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and fuses."""
    options = _parse(argv)
    recipe = _read_recipe(options)
    out = check_suffix(options.out or (DEFAULT_BOXES if recipe.boxes_only else DEFAULT_FUSED))
    paths, passed_over = options.predictions, ()
    if not paths and not recipe.members:
        paths, passed_over = _choose_files()
    recipe = recipe.with_files(paths, options.weights, options.annotations)
    _check_paths([member.predictions for member in recipe.members], out)
    sets = [_load(member) for member in recipe.members]
    names = [display_path(member.predictions) for member in recipe.members]
    rows = [[_origin(one), len(one.images), sum(map(len, one.images))] for one in sets]
    _print_table(['file', 'config', 'images', 'cells'], [[name, *row] for name, row in zip(names, rows, strict=True)])
    fused = fuse(
        sets,
        method=recipe.method,
        weights=[member.weight for member in recipe.members],
        score_thresholds=recipe.score_thresholds,
        class_agnostic=recipe.class_agnostic,
        average_masks=recipe.average_masks,
        boxes_only=recipe.boxes_only,
        names=names,
        cell_types=[member.cell_types for member in recipe.members],
    )
    save_predictions(out, fused)
    cells = 'boxes' if recipe.boxes_only else 'cells'
    print(f'fused by {recipe.method.name}: {len(fused.images)} images, {sum(map(len, fused.images))} {cells}')
    for name, count in fused.source.dropped.items():
        if count:
            print(f'dropped: {count} {DROPPED[name]}')
    for path, reason in passed_over:
        print(f'not fused: {display_path(path)}: {reason}')
    print(f'wrote {display_path(out)}')
    follow = f'{MAKE_COMMAND} --boxes' if recipe.boxes_only else 'python tools/make_submission.py'
    print(name_tools(f'next: {follow} {display_path(out)}'))


def _parse(argv: Sequence[str] | None) -> Namespace:
    parser = make_parser(
        "Fuse several models' predictions, masks included, into one file; before any post-processing.",
        'python tools/ensemble.py work_dirs/mrcnn_r50/predictions_test.npz work_dirs/cmrcnn_r50/predictions_test.npz '
        '--method wbf --weights 1 2\n  python tools/ensemble.py --config configs/ensemble/two_models.py',
    )
    parser.add_argument(
        'predictions',
        nargs='*',
        type=Path,
        help='files of tools/test.py, or COCO results JSON of any detector; if none is named, those of the config, '
        'or all under work_dirs/ that cover the same images as the newest',
    )
    parser.add_argument('--config', type=Path, help='file of configs/ensemble/, in place of the options that follow')
    parser.add_argument('--method', choices=tuple(SET_METHODS), help=f'how cells are fused ({DEFAULT_METHOD})')
    parser.add_argument('--weights', nargs='+', type=float, metavar='W', help='one per file, above 0 (equal)')
    defaults = {name: method() for name, method in SET_METHODS.items()}
    own = ', '.join(f'{name} {method.iou_threshold}' for name, method in defaults.items() if method.has_iou_threshold)
    parser.add_argument('--iou', type=float, help=f'cells that overlap by more are one ({own})')
    parser.add_argument('--score', type=float, help=f'drop cells that their model scored lower ({DEFAULT_SCORE})')
    parser.add_argument('--class-agnostic', action='store_true', help='fuse cells of different classes too')
    averaging = ', '.join(name for name, method in defaults.items() if method.can_average_masks)
    parser.add_argument(
        '--average-masks', action='store_true', help=f"{averaging}: average the dropped cells' masks too"
    )
    parser.add_argument('--boxes-only', action='store_true', help='fuse boxes alone, for a model to predict the masks')
    parser.add_argument('--annotations', type=Path, metavar='JSON', help='COCO JSON whose ids COCO results use')
    parser.add_argument('--out', type=Path, help=f'predictions file to write ({display_path(DEFAULT_FUSED)})')
    options = parser.parse_args(argv)
    given = [name for name in CONFIG_OPTIONS if getattr(options, name) not in (None, False)]
    if options.config and given:
        parser.error(f'--{given[0].replace("_", "-")} and --config: write it into {display_path(options.config)}')
    method = defaults[options.method or DEFAULT_METHOD]
    if options.average_masks and not method.can_average_masks:
        parser.error(f'--average-masks has no meaning with {method.name}; leave it out (it is for {averaging})')
    if options.iou is not None and not method.has_iou_threshold:
        parser.error(f'--iou has no meaning with {method.name}, whose defaults have no IoU threshold; leave it out')
    for name in ('weights', 'class_agnostic', 'boxes_only'):
        if options.method == 'specialists' and getattr(options, name) not in (None, False):
            parser.error(
                f'--{name.replace("_", "-")} has no meaning with specialists, which fuses no cells; leave it out'
            )
    return options


def _read_recipe(options: Namespace) -> FusionRecipe:
    """From the config, or from the options."""
    if options.config is None:
        method = resolve_method(options.method or DEFAULT_METHOD, options.iou, SET_METHODS)
        score = DEFAULT_SCORE if options.score is None else options.score
        return FusionRecipe(
            method=method,
            score_threshold=score,
            class_agnostic=options.class_agnostic,
            average_masks=options.average_masks,
            boxes_only=options.boxes_only,
        )
    recipe = load_recipe(options.config)
    return recipe.model_copy(update={'boxes_only': recipe.boxes_only or options.boxes_only})


def _load(member: FusionMember) -> PredictionSet:
    if member.predictions.suffix != '.json':
        return load_predictions(member.predictions, boxes_allowed=True)
    if member.annotations is None:
        raise UsageError(
            f'{display_path(member.predictions)}: COCO results; name the JSON whose ids they use with --annotations'
        )
    return read_coco_results(member.predictions, member.annotations)


def _choose_files() -> tuple[list[Path], Sequence[tuple[Path, str]]]:
    """The files to fuse, and those that are passed over with the reason."""
    plan = plan_fusion()
    if len(plan.chosen) == 1:
        print(f'only {display_path(plan.chosen[0].path)} covers these images: nothing to fuse it with')
    return [found.path for found in plan.chosen], plan.dropped


def _check_paths(paths: Sequence[Path], out: Path) -> None:
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise UsageError(f'{display_path(path)} is given twice; give it a larger weight instead')
        seen.add(path.resolve())
    if out.resolve() in seen:
        raise UsageError(f'--out {display_path(out)} is one of the files to fuse; choose another name')


def _origin(predictions: PredictionSet) -> str:
    """Config or fusion method that a file came from."""
    source = predictions.source
    if isinstance(source, FusedSource):
        return f'fused ({source.method})'
    if isinstance(source, ConcatenatedSource):
        return 'concatenated'
    return (source.config if isinstance(source, ModelSource) else source.kind) or '-'


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    lines = [[str(cell) for cell in row] for row in (titles, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print('  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == '__main__':
    run_tool(main)
