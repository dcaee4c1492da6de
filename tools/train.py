"""Trains a config on one GPU or CPU; tools/dist_train.sh starts it on several."""

from collections.abc import Sequence

from sartorius.utils.cli import (
    absolute_path,
    add_config_options,
    add_data_options,
    add_run_options,
    make_parser,
    options_as,
    run_tool,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and trains."""
    parser = make_parser(
        'Train a model. The best checkpoint by competition mAP is kept beside the latest ones.',
        'python tools/train.py configs/sartorius/mrcnn_r50.py --fold 0 --amp',
    )
    add_config_options(parser)
    parser.add_argument(
        '--work-dir', type=absolute_path, help='where to write; work_dirs/CONFIG[_small][_foldK] if not given'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='go on exactly where the run stopped: from CKPT, or from the latest checkpoint in the work dir',
    )
    add_data_options(parser)
    add_run_options(parser)
    parser.add_argument('--tensorboard', action='store_true', help='log to TensorBoard as well')
    parser.add_argument('--wandb', action='store_true', help='log config and metrics to Weights & Biases as well')
    arguments = parser.parse_args(argv)

    from sartorius.engine.run_config import DataOptions, RecipeOptions, TrainOptions
    from sartorius.engine.training import train

    train(options_as(RecipeOptions, arguments), options_as(DataOptions, arguments), options_as(TrainOptions, arguments))


if __name__ == '__main__':
    run_tool(main, interrupted='--resume goes on from the latest checkpoint')
