"""Tunes the thresholds of the post-processing on predictions of annotated images."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.paths import DEFAULT_POSTPROCESS, WORK_DIRS, display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, tunes and writes."""
    parser = make_parser(
        'Find score threshold, least area and mask threshold of every class that give the best competition mAP. '
        'Give predictions of images that the model was not trained on (a validation fold): others mislead it.',
        'python tools/tune.py work_dirs/mrcnn_r50/predictions_val.npz --annotations data/sartorius/train.csv',
    )
    parser.add_argument('predictions', type=Path, help='file of tools/test.py --split val, or of tools/ensemble.py')
    parser.add_argument(
        '--annotations', type=Path, required=True, metavar='JSON_OR_CSV', help='true cells: COCO JSON or training CSV'
    )
    parser.add_argument(
        '--postprocess',
        type=Path,
        metavar='FILE',
        default=DEFAULT_POSTPROCESS,
        help='chain to start from (.json or .py)',
    )
    parser.add_argument('--folds', type=int, default=5, help='folds of the cross-validated score')
    parser.add_argument(
        '--out', type=Path, metavar='DIR', default=WORK_DIRS / 'tune', help='for postprocess.json and thresholds.png'
    )
    options = parser.parse_args(argv)

    from sartorius.annotations.reading import load_annotations
    from sartorius.postprocess.chain import load_chain, save_chain
    from sartorius.postprocess.tuner import tune
    from sartorius.predictions.store import load_predictions
    from sartorius.utils.files import sha256_of
    from sartorius.visualization.threshold_plot import plot_thresholds

    chain = load_chain(options.postprocess)
    predictions, truth = load_predictions(options.predictions), load_annotations(options.annotations)
    count = sum(image_id in truth for image_id in predictions.image_ids)
    result = tune(predictions, truth, chain, folds=options.folds)
    print(f'{count} of {len(predictions.images)} predicted images have annotations and count\n')
    print(result.format())

    evidence = {
        'predictions': {'file': display_path(options.predictions), 'sha256': sha256_of(options.predictions)},
        'annotations': {'file': display_path(options.annotations), 'sha256': sha256_of(options.annotations)},
        **result.evidence(),
    }
    tuned_file = options.out / 'postprocess.json'
    save_chain(tuned_file, result.chain, evidence)
    plot_thresholds(options.out / 'thresholds.png', result)
    print(f'\nwrote {display_path(tuned_file)} and {display_path(options.out / "thresholds.png")}')
    print(f'next: python tools/make_submission.py --postprocess {display_path(tuned_file)}')


if __name__ == '__main__':
    run_tool(main)
