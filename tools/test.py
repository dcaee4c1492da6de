"""Predicts a split of the data with a trained model and writes one predictions file."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import add_config_options, add_data_options, make_parser, run_tool
from sartorius.utils.paths import display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and predicts."""
    parser = make_parser(
        'Write what a model finds in the test images (or another split), before any post-processing.',
        'python tools/test.py configs/sartorius/mrcnn_r50.py work_dirs/mrcnn_r50/iter_8000.pth --tta',
    )
    add_config_options(parser, 'config file that the model was trained with')
    parser.add_argument('checkpoint', type=Path, help='checkpoint (.pth) that tools/train.py wrote')
    parser.add_argument(
        '--split', choices=('test', 'val', 'train', 'unlabelled'), default='test', help='images to predict'
    )
    parser.add_argument(
        '--tta', action='store_true', help='turn and flip every image and average (configs/_base_/tta.py)'
    )
    parser.add_argument(
        '--tiles', action='store_true', help='show images in overlapping, enlarged tiles (configs/_base_/tta.py)'
    )
    parser.add_argument(
        '--boxes',
        type=Path,
        metavar='FILE',
        help='find nothing, draw the masks of these boxes: of tools/ensemble.py --boxes-only, any predictions file, or '
        "COCO results JSON with the annotations' ids",
    )
    parser.add_argument(
        '--out',
        type=Path,
        help='predictions file; predictions_SPLIT.npz (with --boxes predictions_SPLIT_boxes.npz) beside the checkpoint '
        'if not given',
    )
    add_data_options(parser, "fold of --split val and train; the config's (0) if not given")
    options = parser.parse_args(argv)
    for name in ('boxes', 'out'):
        if getattr(options, name) is not None:
            setattr(options, name, getattr(options, name).resolve())

    from mmengine.dist import is_main_process

    from sartorius.engine.prediction import predict_split
    from sartorius.predictions.store import read_header

    out = predict_split(options)
    if is_main_process():
        boxes_only = read_header(out).grid == 0
        follow = 'ensemble.py --boxes-only [OTHERS ...]' if boxes_only else 'make_submission.py'
        print(f'next: python tools/{follow} {display_path(out)}')


if __name__ == '__main__':
    run_tool(main)
