"""Tunes the parameters of the post-processing on predictions of annotated images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sartorius.utils.cli import make_parser, name_tools, run_tool
from sartorius.utils.paths import WORK_DIRS, display_path

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUTS = ('postprocess.json', 'tuning.md', 'thresholds.png', 'steps.png')


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, tunes and writes."""
    parser = make_parser(
        'Find the thresholds of every class that give the best competition mAP, and measure the gain of each step. '
        'Give predictions of images that the model was not trained on (a validation fold); others bias it.',
        'python tools/tune.py work_dirs/mrcnn_r50/predictions_val.npz --annotations data/sartorius/train.csv',
    )
    parser.add_argument('predictions', type=Path, help='file of tools/test.py --split val, or of tools/ensemble.py')
    parser.add_argument(
        '--annotations', type=Path, required=True, metavar='JSON_OR_CSV', help='ground truth: COCO JSON or training CSV'
    )
    parser.add_argument(
        '--postprocess',
        type=Path,
        metavar='FILE',
        help='chain to start from (.json or .py); the default one for the classes of the predictions if not given',
    )
    parser.add_argument('--folds', type=int, default=5, help='folds of the cross-validated score')
    parser.add_argument('--out', type=Path, metavar='DIR', default=WORK_DIRS / 'tune', help=f'for {", ".join(OUTPUTS)}')
    options = parser.parse_args(argv)

    from sartorius.annotations.reading import load_annotations, load_groups
    from sartorius.postprocess.chain import load_chain_for, save_chain, warn_of_unusable
    from sartorius.postprocess.tuning.report import evidence, format_result, format_steps
    from sartorius.postprocess.tuning.step_gains import measure_steps
    from sartorius.postprocess.tuning.tuner import tune
    from sartorius.predictions.store import load_predictions
    from sartorius.utils.files import sha256_of, staged_folder, write_text
    from sartorius.utils.notes import collect_notes, note_lines
    from sartorius.visualization.plots import plot_steps, plot_thresholds

    with collect_notes() as notes:
        predictions = load_predictions(options.predictions)
        chain, _ = load_chain_for(predictions.classes, options.postprocess)
        warn_of_unusable(predictions)
        gt = load_annotations(options.annotations)
        result = tune(predictions, gt, chain, load_groups(options.annotations), folds=options.folds)
        gains = measure_steps(predictions, gt, result)
    text = '\n\n'.join([_counts(len(predictions.images), result.images), format_result(result), format_steps(gains)])
    print(text)

    sources = {'predictions': options.predictions, 'annotations': options.annotations}
    files = {name: {'file': display_path(path), 'sha256': sha256_of(path)} for name, path in sources.items()}
    with staged_folder(options.out) as folder:
        chain_file, text_file, threshold_plot, step_plot = (folder / name for name in OUTPUTS)
        save_chain(chain_file, result.chain, {**files, **evidence(result, gains)})
        write_text(
            text_file,
            f'# Tuned on {display_path(options.predictions)}\n\n{text}\n'
            + (f'\n{note_lines(notes)}\n' if notes else ''),
        )
        plot_thresholds(threshold_plot, result)
        plot_steps(step_plot, gains)
    print(f'\nwrote {", ".join(OUTPUTS)} to {display_path(options.out)}')
    print(name_tools(f'next: python tools/make_submission.py --postprocess {display_path(options.out / OUTPUTS[0])}'))


def _counts(predicted: int, images: 'DataFrame') -> str:
    """How many images count, and in how many groups."""
    groups = images['group'].nunique()
    counted = f'{len(images)} of {predicted} predicted images have annotations and count'
    if groups == len(images):
        return (
            f'{counted}, each a group of its own: no two are known to be of one well. If some are, what is '
            'cross-validated looks better than it is'
        )
    return f'{counted}, in {groups} groups'


if __name__ == '__main__':
    run_tool(main)
