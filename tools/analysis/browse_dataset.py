"""Writes pictures of what a config's pipeline makes of the images, and a page that shows them beside the raw ones."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.paths import display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and writes pictures and page."""
    parser = make_parser(
        'Look at training samples as the model gets them: image and cells after the pipeline, beside the raw image. '
        'Cells that should never reach a loss are pointed out.',
        'python tools/analysis/browse_dataset.py configs/sartorius/mrcnn_r50.py --fold 0 --samples 24',
    )
    parser.add_argument('config', help='config file, such as configs/sartorius/mrcnn_r50.py')
    parser.add_argument(
        '--out',
        type=Path,
        help='folder for index.html and sample_*.png, of which earlier ones are replaced; '
        'work_dirs/browse/CONFIG if not given',
    )
    parser.add_argument('--samples', type=int, default=24, help='samples to draw')
    parser.add_argument('--draws', type=int, default=3, help='samples drawn of each image')
    parser.add_argument('--boxes', action='store_true', help='draw boxes too')
    parser.add_argument(
        '--split',
        choices=('train', 'val'),
        default='train',
        help='images and pipeline: of training, or of validation, which loads no cells',
    )
    parser.add_argument(
        '--seed', type=int, help="seed of order and augmentation, as of tools/train.py; the config's (0) if not given"
    )
    parser.add_argument(
        '--data-root', type=Path, help='folder with train/ and test/; $SARTORIUS_DATA or data/sartorius'
    )
    parser.add_argument('--annotations', type=Path, help='folder that tools/prepare_sartorius.py wrote')
    parser.add_argument('--fold', type=int, help="fold to hold out for validation; the config's (0) if not given")
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='K=V', help='change keys of the config')
    options = parser.parse_args(argv)
    for name in ('data_root', 'annotations', 'out'):
        if getattr(options, name) is not None:
            setattr(options, name, getattr(options, name).resolve())

    from sartorius.engine.browsing import browse

    done = browse(options)
    samples = [sample for row in done.rows for sample in row.draws]
    cells = sum(len(sample.labels) for sample in samples)
    flagged = sum(bool(sample.problems) for sample in samples)
    print(
        f'{len(samples)} samples of {len(done.rows)} images, {cells} cells, '
        f'{1000 * median(done.seconds):.0f} ms a sample (median)'
    )
    if flagged:
        print(f'{flagged} samples should not reach a loss; the page says why')
    print(f'wrote {display_path(done.page)}')


if __name__ == '__main__':
    run_tool(main)
