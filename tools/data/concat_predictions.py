"""Concatenates predictions of different images into one file."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, name_tools, run_tool
from sartorius.utils.paths import display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and concatenates."""
    parser = make_parser(
        'Concatenate predictions of different images into one file: with five folds, those of each model for the images '
        'that are held out from it, to tune on all training images at once.',
        'python tools/data/concat_predictions.py work_dirs/mrcnn_r50_fold*/predictions_val.npz --out work_dirs/val/all.npz',
    )
    parser.add_argument('predictions', nargs='+', type=Path, help='files of tools/test.py --split val, one per fold')
    parser.add_argument('--out', type=Path, required=True, help='predictions file to write')
    options = parser.parse_args(argv)

    from sartorius.predictions.structures import concatenate
    from sartorius.predictions.store import check_suffix, load_predictions, save_predictions
    from sartorius.utils.errors import UsageError

    out = check_suffix(options.out)
    if out.resolve() in {path.resolve() for path in options.predictions}:
        raise UsageError(f'--out {display_path(out)} is one of the files to concatenate; choose another name')
    sets = [load_predictions(path) for path in options.predictions]
    together = concatenate(sets, [display_path(path) for path in options.predictions])
    save_predictions(out, together)
    cells = sum(map(len, together.images))
    print(f'concatenated {len(sets)} files: {len(together.images)} images, {cells} cells; wrote {display_path(out)}')
    print(name_tools(f'next: python tools/tune.py {display_path(out)} --annotations JSON_OR_CSV'))


if __name__ == '__main__':
    run_tool(main)
