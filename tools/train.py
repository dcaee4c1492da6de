"""Trains a config on one GPU or CPU; tools/dist_train.sh starts it on several."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and trains."""
    parser = make_parser(
        'Train a model. The best checkpoint by competition mAP is kept beside the latest ones.',
        'python tools/train.py configs/sartorius/mrcnn_r50.py --fold 0 --amp',
    )
    parser.add_argument('config', help='config file, such as configs/sartorius/mrcnn_r50.py')
    parser.add_argument('--work-dir', type=Path, help='where to write; work_dirs/CONFIG[_foldK] if not given')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='go on exactly where the run stopped: from CKPT, or from the latest checkpoint in the work dir',
    )
    parser.add_argument(
        '--data-root', type=Path, help='folder with train/ and test/; $SARTORIUS_DATA or data/sartorius'
    )
    parser.add_argument('--annotations', type=Path, help='folder that tools/prepare_sartorius.py wrote')
    parser.add_argument('--fold', type=int, help="fold to hold out for validation; the config's (0) if not given")
    parser.add_argument('--load-from', metavar='FILE', help='start from the weights of this checkpoint or URL')
    parser.add_argument(
        '--from-scratch',
        action='store_true',
        help='start without pre-trained weights, all layers learning; a config that starts from another run '
        '(init_from) still starts from that run, which can be made from scratch too',
    )
    parser.add_argument(
        '--seed', type=int, help="seed of weights, order and augmentation; the config's (0) if not given"
    )
    parser.add_argument(
        '--iterations', type=int, help="length of the run, schedule included; the config's if not given"
    )
    parser.add_argument(
        '--no-validation',
        action='store_true',
        help='only train: no scores on the way, the last checkpoint is the result',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision, where there is a GPU')
    parser.add_argument('--tensorboard', action='store_true', help='log to TensorBoard as well')
    parser.add_argument('--wandb', action='store_true', help='log to Weights & Biases as well')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='K=V', help='change keys of the config: train_cfg.max_iters=100'
    )
    options = _absolute_paths(parser.parse_args(argv))

    from sartorius.engine.training import train

    train(options)


def _absolute_paths(options: argparse.Namespace) -> argparse.Namespace:
    """Folders typed on the command line are relative to the current folder, those of a config to the checkout."""
    for name in ('data_root', 'annotations', 'work_dir'):
        if getattr(options, name) is not None:
            setattr(options, name, getattr(options, name).resolve())
    return options


if __name__ == '__main__':
    run_tool(main, interrupted='--resume goes on from the latest checkpoint')
