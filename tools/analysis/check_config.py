"""Checks a config before it is trained: keys, files, limits, anchors, memory."""

import sys
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import EXIT_FAILURE, make_parser, run_tool


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the command line and prints the report; returns the exit code."""
    parser = make_parser(
        'Check a config before it is trained: misspelt keys, missing files, limits against the data, anchors against '
        'the cells, memory. Exits with 1 if there are errors. tools/train.py does the same first.',
        'python tools/analysis/check_config.py configs/sartorius/mrcnn_r50.py --fold 0',
    )
    parser.add_argument('config', help='config file, such as configs/sartorius/mrcnn_r50.py')
    parser.add_argument(
        '--data-root', type=Path, help='folder with train/ and test/; $SARTORIUS_DATA or data/sartorius'
    )
    parser.add_argument('--annotations', type=Path, help='folder that tools/prepare_sartorius.py wrote')
    parser.add_argument('--fold', type=int, help="fold to hold out for validation; the config's (0) if not given")
    parser.add_argument('--load-from', metavar='FILE', help='start from the weights of this checkpoint or URL')
    parser.add_argument('--from-scratch', action='store_true', help='start from random weights')
    parser.add_argument(
        '--amp', action='store_true', help='estimate the memory for mixed precision, where there is a GPU'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='K=V', help='change keys of the config: train_cfg.max_iters=100'
    )
    options = parser.parse_args(argv)
    for name in ('data_root', 'annotations'):
        if getattr(options, name) is not None:
            setattr(options, name, getattr(options, name).resolve())

    from sartorius.engine.checking import check

    report = check(options)
    print(report.to_text())
    errors, warnings = report.count('error'), report.count('warning')
    print(f'{options.config}: errors: {errors}, warnings: {warnings}')
    return EXIT_FAILURE if errors else 0


if __name__ == '__main__':
    run_tool(lambda: sys.exit(main()))
