"""Writes pictures of training samples after the config's pipeline, and a page that shows them beside the raw images."""

from collections.abc import Sequence
from statistics import median

from sartorius.utils.cli import (
    absolute_path,
    add_config_options,
    add_data_options,
    make_parser,
    options_as,
    run_tool,
)
from sartorius.utils.paths import display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and writes pictures and page."""
    parser = make_parser(
        'Look at training samples as the model gets them: image and cells after the pipeline, beside the raw image. '
        'Cells that would make the loss wrong or NaN are pointed out.',
        'python tools/analysis/browse_dataset.py configs/sartorius/mrcnn_r50.py --fold 0 --samples 24',
    )
    add_config_options(parser)
    parser.add_argument(
        '--out',
        type=absolute_path,
        help='folder for index.html and sample_*.png, of which earlier ones are replaced; '
        'work_dirs/browse/CONFIG[_small][_foldK] if not given',
    )
    parser.add_argument('--samples', type=int, default=24, help='number of samples')
    parser.add_argument('--repeats', type=int, default=3, help='samples of each image')
    parser.add_argument('--boxes', action='store_true', help='draw boxes too')
    parser.add_argument(
        '--split',
        choices=('train', 'val'),
        default='train',
        help='images and pipeline of training, or of validation, which loads no cells',
    )
    parser.add_argument(
        '--seed', type=int, help="seed of order and augmentation, as of tools/train.py; the config's (0) if not given"
    )
    add_data_options(parser)
    arguments = parser.parse_args(argv)

    from sartorius.engine.browsing import BrowseOptions, browse
    from sartorius.engine.run_config import DataOptions, RecipeOptions

    done = browse(
        options_as(RecipeOptions, arguments), options_as(DataOptions, arguments), options_as(BrowseOptions, arguments)
    )
    samples = [sample for row in done.rows for sample in row.samples]
    cells = sum(len(sample.labels) for sample in samples)
    flagged = sum(bool(sample.problems) for sample in samples)
    print(
        f'{len(samples)} samples of {len(done.rows)} images, {cells} cells, '
        f'{1000 * median(done.seconds):.0f} ms per sample (median)'
    )
    if flagged:
        print(f'{flagged} samples have faults for the loss; the page lists them')
    print(f'wrote {display_path(done.page)}')


if __name__ == '__main__':
    run_tool(main)
