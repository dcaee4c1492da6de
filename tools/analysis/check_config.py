"""Checks a config before it is trained: keys, files, limits, anchors."""

import sys
from collections.abc import Sequence

from sartorius.utils.cli import (
    EXIT_FAILURE,
    add_config_options,
    add_data_options,
    add_run_options,
    make_parser,
    options_as,
    run_tool,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the command line and prints the report; returns the exit code."""
    parser = make_parser(
        'Check a config before it is trained: misspelt keys, missing files, limits against the data, anchors against '
        'the cells. Exits with 1 if there are errors. tools/train.py runs the same check first.',
        'python tools/analysis/check_config.py configs/sartorius/mrcnn_r50.py --fold 0',
    )
    add_config_options(parser)
    add_data_options(parser)
    add_run_options(parser)
    arguments = parser.parse_args(argv)

    from sartorius.engine.config_check import check_recipe
    from sartorius.engine.run_config import DataOptions, RecipeOptions, TrainOptions

    report = check_recipe(
        options_as(RecipeOptions, arguments), options_as(DataOptions, arguments), options_as(TrainOptions, arguments)
    )
    print(report.to_text())
    errors, warnings = report.count('error'), report.count('warning')
    print(f'{arguments.config}: errors: {errors}, warnings: {warnings}')
    return EXIT_FAILURE if errors else 0


if __name__ == '__main__':
    run_tool(lambda: sys.exit(main()))
