"""Scores a submission CSV by the competition's mAP."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, scores and prints."""
    parser = make_parser(
        "Score a submission CSV against the ground truth by the competition's mAP: overall with a bootstrap interval "
        'over groups of near-duplicate images, per class, and per IoU threshold. Only images that the submission names '
        'count, unless --all-images is given.',
        'python tools/score_submission.py work_dirs/submission.csv data/sartorius/train.csv --per-image scores.csv',
    )
    parser.add_argument('submission', type=Path, help='the CSV to score')
    parser.add_argument('annotations', type=Path, help='train.csv (five or nine columns), or COCO JSON')
    parser.add_argument(
        '--per-image', type=Path, metavar='CSV', help='write one row per image: n_gt, n_pred, tp_50 to tp_95, score'
    )
    parser.add_argument(
        '--all-images',
        action='store_true',
        help='images of the annotations that the submission does not name count as 0',
    )
    options = parser.parse_args(argv)

    from sartorius.annotations.reading import load_annotations, load_groups
    from sartorius.evaluation import format_score_summary, summarise_scores
    from sartorius.submission import score_submission
    from sartorius.utils.files import atomic_path
    from sartorius.utils.spreadsheets import write_table

    gt = load_annotations(options.annotations)
    table = score_submission(options.submission, gt, options.all_images)
    if len(table) < len(gt):
        print(f'{len(table)} of the {len(gt)} annotated images are in the submission and count\n')
    print(format_score_summary(summarise_scores(table, load_groups(options.annotations))))
    if options.per_image:
        with atomic_path(options.per_image) as temporary:
            write_table(temporary, table, '%.6f')
        print(f'\nper image: {options.per_image}')


if __name__ == '__main__':
    run_tool(main)
