"""Predicts the cells of image files with a trained model and writes files that other tools open."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sartorius.utils.cli import (
    EXIT_FAILURE,
    absolute_path,
    add_format_option,
    add_reading_options,
    make_parser,
    options_as,
    run_tool,
)
from sartorius.utils.paths import display_path

if TYPE_CHECKING:
    from sartorius.engine.image_prediction.folder import RunResult

MAX_ROWS = 40
"""Images of which the table shows every one; of more, those that failed."""


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, predicts, and tells what came of each image."""
    options = _parse(argv)
    options.out = absolute_path(str(options.out))

    from sartorius.engine.image_prediction.folder import PredictOptions, predict_images
    from sartorius.engine.image_prediction.model import ImageOptions
    from sartorius.engine.image_prediction.parts import Batch

    if options.batch is not None:
        options.batch = Batch.parse(options.batch)
    result = predict_images(options_as(PredictOptions, options), options_as(ImageOptions, options))
    if result is None:
        return
    _show(result, options.out)
    # What failed in a batch is told by the run that it is a part of.
    if result.failed and options.batch is None and not options.merge:
        sys.exit(EXIT_FAILURE)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(
        'Find the cells in image files and write label images, ImageJ ROIs, tables and more. What is done is skipped, '
        'so that the same command, typed again, goes on after anything.',
        'python tools/predict.py my_folder -r --out out',
    )
    parser.add_argument('inputs', nargs='*', metavar='INPUT', help='image files, folders, or globs in quotes')
    parser.add_argument('-r', '--recursive', action='store_true', help='search folders with their subfolders')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder to write')
    parser.add_argument('--model', metavar='MODEL', help='name or file of a model; the one of the package if not given')
    parser.add_argument('--config', type=Path, help="config to use in place of the model file's own")
    add_format_option(parser, predictions='predictions file of the run, before post-processing')
    _add_image_options(parser)
    parser.add_argument('--device', help='such as cpu or cuda:0; a GPU where there is one if not given')
    parser.add_argument('--jobs', type=int, default=1, metavar='N', help='processes; with GPUs, each has one')
    parser.add_argument(
        '--overwrite', action='store_true', help='predict everything again, and replace files of others in DIR'
    )
    group = parser.add_argument_group('parts of a large run (configs/workflows/predict.yaml does it by itself)')
    group.add_argument(
        '--list', dest='image_list', type=absolute_path, metavar='FILE', help='CSV with image and path, for INPUT'
    )
    group.add_argument('--batch', metavar='K/N', help='predict one of N parts, without the files of the whole run')
    group.add_argument('--merge', action='store_true', help='write the files of the whole run from predicted parts')
    return parser.parse_args(argv)


def _add_image_options(parser: argparse.ArgumentParser) -> None:
    """Adds the fields of ``ImageOptions``."""
    group = parser.add_argument_group('images')
    add_reading_options(group)
    group.add_argument(
        '--scale', type=float, metavar='F', help="size of the images' pixels divided by that of the model's"
    )
    group.add_argument(
        '--levels',
        type=_levels,
        metavar='LOW:HIGH',
        help="grey values of black and white; else each image's own",
    )
    group = parser.add_argument_group('cells')
    group.add_argument(
        '--tiles',
        choices=('auto', 'on', 'off'),
        default='auto',
        help='predict in overlapping tiles; auto: images more than twice as high and wide as the trained ones',
    )
    group.add_argument('--tta', action='store_true', help='test-time augmentation: better and several times slower')
    group.add_argument(
        '--postprocess', type=absolute_path, metavar='FILE', help="chain of post-processing; the model's if not given"
    )
    group.add_argument(
        '--min-score', type=float, metavar='S', help="keep cells from this score on; the chain's if not given"
    )
    group.add_argument('--exclude-border', action='store_true', help="drop cells that touch the image's border")


def _levels(text: str) -> tuple[float, float]:
    low, separator, high = text.partition(':')
    try:
        return float(low), float(high)
    except ValueError:
        raise argparse.ArgumentTypeError(f'must be LOW:HIGH, such as 100:4000, not {text!r}') from None


def _show(result: 'RunResult', out: Path) -> None:
    """Prints a table of the images, and where to look."""
    from sartorius.utils.tables import markdown_table

    failed = {record.image for record in result.failed}
    shown = result.records if len(result.records) <= MAX_ROWS else result.failed[:MAX_ROWS]
    notes = {record.message for record in result.records if record.image not in failed}
    # What is the same for all images is said once.
    common = notes.pop() if len(notes) == 1 else ''
    rows = []
    for record in shown:
        state = 'FAILED' if record.image in failed else ('kept' if record.image in result.kept else 'done')
        cells = '' if record.image in failed else f'{record.cells:,}'
        rows.append((record.image, state, cells, '' if record.message == common else record.message))
    if rows:
        print(markdown_table(('image', 'state', 'cells', 'message'), rows, text_columns=(0, 1, 3)))
    if common:
        print(f'of all images: {common}')
    if len(failed) > len(shown):
        print(f'... and {len(failed) - len(shown)} more that failed')
    if result.skipped:
        print(f'{len(result.skipped)} files are masks or overlays, not images: {display_path(result.skipped[0])}, ...')
    done = [record for record in result.records if record.image not in failed]
    cells = sum(record.cells for record in done)
    counts = [f'{len(done)} images with {cells:,} cells']
    counts += [f'{len(result.kept)} of them done before'] if result.kept else []
    counts += [f'{len(failed)} FAILED'] if failed else []
    new = [record.seconds for record in done if record.image not in result.kept]
    counts += [f'{sum(new) / len(new):.2f} s an image'] if new else []
    print(f'{", ".join(counts)}; {result.seconds:.0f} s in all')
    for path in result.files:
        print(f'wrote {display_path(path)}')
    print(f'next: open {display_path(out / "index.html")} in a browser')


if __name__ == '__main__':
    run_tool(main, interrupted='finished images are kept; the same command goes on with the others')
