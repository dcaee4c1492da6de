"""Prints the config that a training or a prediction would run, with everything that options and machine decide."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

from sartorius.utils.cli import (
    add_config_options,
    add_data_options,
    add_run_options,
    make_parser,
    options_as,
    run_tool,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and prints the config."""
    parser = make_parser(
        'Print the config that tools/train.py would run with the same options, or tools/test.py with --split: files, '
        'classes, seed and schedule resolved. The output is a config file.',
        'python tools/analysis/print_config.py configs/sartorius/mrcnn_r50.py --fold 2 --small',
    )
    add_config_options(parser)
    add_data_options(parser)
    add_run_options(parser)
    parser.add_argument(
        '--split',
        choices=('test', 'val', 'train', 'unlabelled'),
        help='print the config for predicting these images, which need their annotation file; that of the training if '
        'not given',
    )
    arguments = parser.parse_args(argv)

    # MMDetection prints when it is imported, and the output is to be a config file.
    with redirect_stdout(sys.stderr):
        from sartorius.engine.run_config import (
            DataOptions,
            RecipeOptions,
            TrainOptions,
            build_prediction_config,
            build_train_config,
        )

    recipe, data = options_as(RecipeOptions, arguments), options_as(DataOptions, arguments)
    if arguments.split is not None:
        config = build_prediction_config(recipe, data, arguments.split)
    else:
        config = build_train_config(recipe, data, options_as(TrainOptions, arguments))
    print(config.pretty_text, end='')


if __name__ == '__main__':
    run_tool(main)
