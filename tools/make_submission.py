"""Turns predictions into the competition's submission CSV."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, name_tools, run_tool
from sartorius.utils.paths import WORK_DIRS, display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, post-processes, writes and checks."""
    parser = make_parser(
        'Post-process predictions, resolve overlaps, and write and check the submission CSV.',
        'python tools/make_submission.py --postprocess work_dirs/tune/postprocess.json',
    )
    parser.add_argument(
        'predictions',
        nargs='?',
        type=Path,
        help='predictions file; if none is named, the newest fused one under work_dirs/, or the only one there is',
    )
    parser.add_argument(
        '--postprocess',
        type=Path,
        metavar='FILE',
        help='.json of tools/tune.py, or .py that defines postprocess = [...]; the default one for the classes of the '
        'predictions if not given',
    )
    parser.add_argument('--out', type=Path, metavar='CSV', default=WORK_DIRS / 'submission.csv', help='CSV to write')
    options = parser.parse_args(argv)

    from sartorius.postprocess.chain import load_chain_for, postprocess_all
    from sartorius.predictions.search import find_for_submission
    from sartorius.predictions.store import load_predictions
    from sartorius.submission.write import format_class_counts, write_checked_submission

    path = options.predictions or find_for_submission(WORK_DIRS)
    print(f'predictions:     {display_path(path)}')
    predictions = load_predictions(path)
    chain, chain_file = load_chain_for(predictions.classes, options.postprocess)
    print(f'post-processing: {display_path(chain_file)}')
    images = postprocess_all(predictions, chain)
    write_checked_submission(options.out, images)
    print(f'\n{format_class_counts(images, predictions.classes)}\n')
    print(f'wrote {display_path(options.out)}, and checked it: no rule is broken')
    print('next: upload it, or score it against known ground truth:')
    print(name_tools(f'  python tools/score_submission.py {display_path(options.out)} TRAIN_CSV'))


if __name__ == '__main__':
    run_tool(main)
