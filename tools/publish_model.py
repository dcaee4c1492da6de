"""Publishes a trained model as one small file with all that prediction needs, and its card."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, options_as, run_tool
from sartorius.utils.paths import display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and writes the model file and its card."""
    parser = make_parser(
        'Publish a trained model: weights, config, classes and post-processing in one file NAME-HASH.pth that runs no '
        'code where it is read, and its card beside it. tools/predict.py takes the file, or its name if it lies in '
        'the folder $SARTORIUS_MODELS.',
        'python tools/publish_model.py work_dirs/mrcnn_r50 --name my_cells --pixel-size 0.65 --half --out models',
    )
    parser.add_argument(
        'model',
        type=Path,
        metavar='RUN_OR_CHECKPOINT',
        help="checkpoint (.pth), or a run's folder with one",
    )
    parser.add_argument('--name', help="name of the model: letters, digits, _, - and .; the recipe's if not given")
    parser.add_argument(
        '--pixel-size', type=float, metavar='UM', help='edge of a pixel of the training images in µm, if it is known'
    )
    parser.add_argument(
        '--postprocess', type=Path, metavar='FILE', help="tuned chain (.json or .py); the config's if not given"
    )
    parser.add_argument('--half', action='store_true', help='store weights as float16: half the size, read as float32')
    parser.add_argument('--out', type=Path, metavar='DIR', required=True, help='folder of the file and its card')
    arguments = parser.parse_args(argv)

    from sartorius.engine.publishing import PublishOptions, publish_model

    file, card = publish_model(options_as(PublishOptions, arguments))
    print(f'wrote {display_path(file)} ({file.stat().st_size / 1e6:.1f} MB) and {display_path(card)}')


if __name__ == '__main__':
    run_tool(main)
