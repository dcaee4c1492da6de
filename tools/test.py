"""Predicts a split of the data with a trained model and writes one predictions file."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import (
    absolute_path,
    add_config_options,
    add_data_options,
    make_parser,
    name_tools,
    options_as,
    run_tool,
)
from sartorius.utils.paths import display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and predicts."""
    parser = make_parser(
        'Predict the test images or another split with a trained model; the predictions are not post-processed yet.',
        'python tools/test.py configs/sartorius/mrcnn_r50.py work_dirs/mrcnn_r50/iter_8000.pth --tta',
    )
    add_config_options(parser, 'config file that the model was trained with')
    parser.add_argument('checkpoint', type=Path, help='checkpoint (.pth) that tools/train.py wrote')
    parser.add_argument(
        '--split', choices=('test', 'val', 'train', 'unlabelled'), default='test', help='images to predict'
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation: merge predictions for turned, mirrored and scaled images (configs/_base_/tta.py)',
    )
    parser.add_argument(
        '--tiles', action='store_true', help='predict images in overlapping, enlarged tiles (configs/_base_/tta.py)'
    )
    parser.add_argument(
        '--boxes',
        type=absolute_path,
        metavar='FILE',
        help='predict only the masks of these boxes: of tools/ensemble.py --boxes-only, any predictions file, or COCO '
        "results JSON with the annotations' ids",
    )
    parser.add_argument(
        '--out',
        type=absolute_path,
        help='predictions file; predictions_SPLIT.npz (with --boxes predictions_SPLIT_boxes.npz) beside the checkpoint '
        'if not given',
    )
    add_data_options(parser, "fold of --split val and train; the config's (0) if not given")
    arguments = parser.parse_args(argv)

    from mmengine.dist import is_main_process

    from sartorius.engine.prediction import PredictionOptions, predict_split
    from sartorius.engine.run_config import DataOptions, RecipeOptions
    from sartorius.predictions.store import read_header

    out = predict_split(*(options_as(kind, arguments) for kind in (RecipeOptions, DataOptions, PredictionOptions)))
    if is_main_process():
        header = read_header(out)
        if header.grid == 0:
            print(name_tools(f'next: python tools/ensemble.py --boxes-only [OTHERS ...] {display_path(out)}'))
        else:
            print(name_tools(f'next: python tools/make_submission.py {display_path(out)}'))


if __name__ == '__main__':
    run_tool(main)
