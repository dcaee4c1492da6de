"""Detects the defects of a training CSV's masks, fixes the named ones, and undoes fixes."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, name_tools, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.paths import display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, and cleans or undoes."""
    options = _parse(argv)
    if options.undo:
        _undo(options)
    else:
        _clean(options)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(
        'Detect hollow, convex-filled, torn, doubled, overlapping and otherwise broken masks, and fix the named ones. '
        'Each edit is a line of a log, and --undo undoes all or some of them, to the byte. Without --out only the report '
        'is written.',
        'python tools/data/clean_masks.py data/sartorius/train.csv --out work_dirs/clean/train.csv '
        '--report work_dirs/clean/report\n'
        '  python tools/data/clean_masks.py work_dirs/clean/train.csv --undo work_dirs/clean/train_edits.csv '
        '--only double --out work_dirs/clean/with_doubles.csv',
    )
    parser.add_argument('train_csv', type=Path, metavar='TRAIN_CSV', help="training CSV in the competition's form")
    parser.add_argument('--out', type=Path, metavar='CSV', help='CSV to write, with the log of edits beside it')
    parser.add_argument(
        '--fix',
        nargs='+',
        metavar='DEFECT',
        help='defects to fix, by the names in the printed table, or all; those that the table marks as safe if none',
    )
    parser.add_argument(
        '--log', type=Path, metavar='CSV', help='log to write (OUT_edits.csv beside --out)'
    )
    parser.add_argument('--report', type=Path, metavar='DIR', help='folder to write a page with pictures in')
    parser.add_argument(
        '--images', type=Path, metavar='DIR', help='folder with the images; train/ beside TRAIN_CSV if it is there'
    )
    parser.add_argument(
        '--areas',
        nargs='+',
        type=_areas,
        default=[],
        metavar='CLASS=MIN:MAX',
        help='minimum and maximum area of cells in px, for example astro=40:9000',
    )
    parser.add_argument('--undo', type=Path, metavar='LOG', help='undo the edits of this log')
    parser.add_argument('--only', nargs='+', metavar='DEFECT', help='with --undo: only edits of these defects')
    parser.add_argument('--only-images', nargs='+', metavar='ID', help='with --undo: only edits of these images')
    options = parser.parse_args(argv)
    if options.undo:
        _refuse(options, ('fix', 'report', 'images', 'areas'), 'it has no meaning with --undo')
        if options.out is None:
            raise UsageError('--undo needs --out: the CSV to write')
    else:
        _refuse(options, ('only', 'only_images'), 'it needs --undo')
        if options.out is None:
            _refuse(options, ('fix', 'log'), 'it needs --out: the CSV to write')
        if options.report is None:
            _refuse(options, ('images',), 'it needs --report')
    if options.out is not None and options.out.resolve() == options.train_csv.resolve():
        raise UsageError(f'--out {display_path(options.out)} is the input file; name another')
    return options


def _clean(options: argparse.Namespace) -> None:
    from sartorius.label_quality import DEFECTS, Rules, clean, read_label_table
    from sartorius.label_quality.defects import USUAL_AREAS, safe_defects
    from sartorius.label_quality.edits import edited_text, edits_of, write_log
    from sartorius.label_quality.cleaning import summarise_cleaning
    from sartorius.utils.errors import did_you_mean
    from sartorius.utils.files import file_set, write_text

    chosen = options.fix or safe_defects()
    fix = tuple(DEFECTS) if 'all' in chosen else tuple(chosen)
    rules = Rules(areas={**USUAL_AREAS, **dict(options.areas)})
    if options.images is not None and not options.images.is_dir():
        raise UsageError(f'{display_path(options.images)} is not a folder; name the one that holds the images')
    table = read_label_table(options.train_csv)
    known = {cell.cell_type for image in table.images for cell in image.cells}
    for name, _ in options.areas:
        if name not in known:
            raise UsageError(f'--areas: {display_path(options.train_csv)} has no class {name!r}{did_you_mean(name, known)}')
    cleaning = clean(table.images, fix if options.out else (), rules)
    print(summarise_cleaning(cleaning, rules))
    # No cleaned file without its log and its report.
    with file_set():
        if options.out:
            log = options.log or _log_beside(options.out)
            edits = edits_of(table, cleaning)
            write_log(log, edits)
            write_text(options.out, edited_text(table, edits))
        if options.report:
            from sartorius.visualization.data_report_page import write_data_report
            from sartorius.label_quality.statistics import images_beside

            images = options.images or images_beside(options.train_csv)
            page = write_data_report(options.report, table, cleaning, rules, images)
    if options.out:
        print(f'\nwrote {display_path(options.out)}, and {len(edits):,} edits to {display_path(log)}')
    if options.report:
        print(f'wrote {display_path(page)}')
    if options.out:
        print(name_tools(f'next: python tools/prepare_sartorius.py --csv {display_path(options.out)} --out FOLDER'))


def _undo(options: argparse.Namespace) -> None:
    from sartorius.label_quality.edits import read_log, undo_edits, write_log
    from sartorius.utils.errors import did_you_mean
    from sartorius.utils.files import file_set, write_text

    edits = read_log(options.undo)
    for option, known in (
        ('only', {edit.defect for edit in edits}),
        ('only_images', {edit.image_id for edit in edits}),
    ):
        for name in getattr(options, option) or ():
            if name not in known:
                raise UsageError(f'no edit of {name!r} in {display_path(options.undo)}{did_you_mean(name, known)}')
    text, left = undo_edits(
        options.train_csv,
        edits,
        lambda edit: (
            (not options.only or edit.defect in options.only)
            and (not options.only_images or edit.image_id in options.only_images)
        ),
    )
    log = options.log or _log_beside(options.out)
    with file_set():
        if left:
            write_log(log, left)
        write_text(options.out, text)
    print(f'wrote {display_path(options.out)}: {len(edits) - len(left):,} edits undone')
    if left:
        print(f'the {len(left):,} others are in {display_path(log)}')


def _log_beside(out: Path) -> Path:
    return out.with_name(f'{out.stem}_edits.csv')


def _refuse(options: argparse.Namespace, names: Sequence[str], why: str) -> None:
    for name in names:
        if getattr(options, name):
            raise UsageError(f'--{name.replace("_", "-")}: {why}')


def _areas(text: str) -> tuple[str, tuple[int, int]]:
    """Class, minimum and maximum area from ``CLASS=MIN:MAX``."""
    name, _, span = text.partition('=')
    low, _, high = span.partition(':')
    if not (low.isdecimal() and high.isdecimal()):
        raise argparse.ArgumentTypeError(f'{text!r}: write CLASS=MIN:MAX, for example astro=40:9000')
    return name, (int(low), int(high))


if __name__ == '__main__':
    run_tool(main)
