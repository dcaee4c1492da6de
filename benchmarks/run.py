"""Benchmarks of this project against the software that a user would otherwise run, side by side."""

import importlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measure import Measurement, Setting, measure, use_one_thread
from report import describe, describe_machine, themes_of, to_json, to_markdown, to_text, update_page

from sartorius.utils.cli import make_parser, progress, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.files import write_text
from sartorius.utils.paths import BASE_DIR, WORK_DIRS, display_path

THEMES = (
    'loading',
    'copy_paste',
    'tiles',
    'mask_targets',
    'prediction',
    'detector_ops',
    'training_step',
    'recipe_steps',
    'fusion',
    'metric',
    'conversion',
    'suppression',
    'tuning',
    'growth',
)
"""Modules beside this one, in the order in which they run."""
QUICK = dict(seconds=0.0, min_rounds=1)
NO_REAL_IMAGES = 'no real images: name their folder with --data-root or SARTORIUS_DATA; synthetic images only'


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and measures."""
    parser = make_parser(
        'Measure time and peak memory of this project against what a user would otherwise run: the same work on the '
        'same images, in turns, in one process; in one thread, the steps of recipes on all cores. Writes results.json '
        'and results.md.',
        'python benchmarks/run.py loading mask_targets --data-root data/sartorius',
    )
    data_root = os.environ.get('SARTORIUS_DATA') or BASE_DIR / 'data' / 'sartorius'
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'what to measure: {", ".join(THEMES)}; all if none')
    parser.add_argument(
        '--data-root', type=Path, metavar='DIR', default=data_root, help='folder with train/ and train.csv'
    )
    parser.add_argument('--out', type=Path, metavar='DIR', default=WORK_DIRS / 'bench', help='folder to write to')
    parser.add_argument('--quick', action='store_true', help='tiny inputs, one round: only to see that all runs')
    parser.add_argument(
        '--cpu-time',
        action='store_true',
        help="the processor's time, in one thread, in place of the clock's: on a machine that does other work as well",
    )
    parser.add_argument(
        '--markdown', type=Path, metavar='FILE', help='page whose tables and pictures are brought up to date'
    )
    args = parser.parse_args(argv)
    unknown = [name for name in args.names if name not in THEMES]
    if unknown:
        raise UsageError(f'unknown benchmark {unknown[0]!r}; there are {", ".join(THEMES)}')

    use_one_thread()
    themes = [name for name in THEMES if name in args.names or not args.names]
    has_real = (args.data_root / 'train.csv').is_file()
    with tempfile.TemporaryDirectory(prefix='bench-') as folder:
        setting = Setting(Path(folder), args.data_root if has_real else None, args.quick, args.cpu_time)
        if not has_real:
            setting.notes.append(NO_REAL_IMAGES)
        measurements = measure_themes(themes, setting)
    write_results(args.out, measurements, setting.notes)
    if args.markdown:
        update_page(args.markdown, measurements, describe_machine())
        draw_pictures(args.markdown.parent / 'images', measurements)


def measure_themes(themes: Sequence[str], setting: Setting) -> list[Measurement]:
    """Measures all benchmarks of some themes and prints each as it is done."""
    from tqdm import tqdm

    plans = [plan for theme in themes for plan in importlib.import_module(theme).benchmarks(setting)]
    # Again, for the libraries that the themes have imported.
    use_one_thread()
    for note in setting.notes:
        print(note)
    measurements = []
    for plan in progress(plans, 'benchmarks'):
        measurements.append(measure(plan(), cpu_time=setting.cpu_time, **(QUICK if setting.quick else {})))
        tqdm.write(describe(measurements[-1]))
    return measurements


def write_results(out: Path, measurements: Sequence[Measurement], notes: Sequence[str]) -> None:
    """Prints the table and writes it, with everything that was measured, under ``out``."""
    machine = describe_machine()
    print(f'\n{to_text(measurements)}')
    write_text(out / 'results.json', to_json(measurements, machine, notes))
    tables = [f'## {theme}\n\n{to_markdown(items, machine)}' for theme, items in themes_of(measurements).items()]
    write_text(out / 'results.md', '\n'.join([*(f'{note}\n' for note in notes), *tables]))
    draw_pictures(out, measurements)
    print(f'\nwritten to {display_path(out)}')


def draw_pictures(folder: Path, measurements: Sequence[Measurement]) -> None:
    """Writes growth.png where growth was measured."""
    if 'growth' in themes_of(measurements):
        importlib.import_module('growth').draw(measurements, folder / 'growth.png')


if __name__ == '__main__':
    run_tool(main)
