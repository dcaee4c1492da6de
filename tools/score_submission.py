"""Scores a submission CSV by the competition's mAP."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser(
        "Score a submission CSV against known cells by the competition's mAP: overall with a bootstrap interval over "
        'the images, per class, and per IoU threshold. Only images that the submission names count, unless '
        '--all-images is given.',
        'python tools/score_submission.py work_dirs/submission.csv data/sartorius/train.csv --per-image scores.csv',
    )
    parser.add_argument('submission', type=Path, help='the CSV to score')
    parser.add_argument('annotations', type=Path, help='train.csv (five or nine columns), or COCO JSON')
    parser.add_argument('--per-image', type=Path, metavar='CSV', help='write a row an image: cells, hits, score')
    parser.add_argument(
        '--all-images', action='store_true', help='annotated images that the submission does not name count as 0'
    )
    args = parser.parse_args(argv)

    from sartorius.annotations.reading import load_annotations
    from sartorius.evaluation import format_summary, summarise
    from sartorius.submission import score_submission
    from sartorius.utils.files import atomic_path

    gt = load_annotations(args.annotations)
    table = score_submission(args.submission, gt, args.all_images)
    if len(table) < len(gt):
        print(f'{len(table)} of the {len(gt)} annotated images are in the submission and count\n')
    print(format_summary(summarise(table)))
    if args.per_image:
        with atomic_path(args.per_image) as temporary:
            table.to_csv(temporary, index=False, float_format='%.6f')
        print(f'\nper image: {args.per_image}')


if __name__ == '__main__':
    run_tool(main)
