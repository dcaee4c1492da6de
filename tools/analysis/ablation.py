"""Measures what each stage after training is worth, on images that it was not tuned on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.paths import WORK_DIRS, display_path

if TYPE_CHECKING:
    from sartorius.leaderboard.ablation import AblationRow

OUTPUTS = ('ablation.md', 'ablation.csv')


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, measures and writes."""
    parser = make_parser(
        'Add one stage after the other to a plain model - thresholds, min areas, steps, test-time augmentation, '
        'fusion with more models - and score each on the half of the images that it was not tuned on, both halves '
        'in turn. Every row is shown, whether it helps or not.',
        'python tools/analysis/ablation.py work_dirs/mrcnn_r50/predictions_val.npz --tta '
        'work_dirs/mrcnn_r50/tta_val.npz '
        '--others work_dirs/cmrcnn_r50/tta_val.npz --annotations work_dirs/data/sartorius/fold0_val.json',
    )
    parser.add_argument('predictions', type=Path, help='file of tools/test.py --split val')
    parser.add_argument('--tta', type=Path, metavar='FILE', help="the same model's with --tta")
    parser.add_argument('--others', type=Path, nargs='+', default=[], metavar='FILE', help="further models'")
    parser.add_argument(
        '--annotations', type=Path, required=True, metavar='JSON_OR_CSV', help='ground truth: COCO JSON or training CSV'
    )
    parser.add_argument('--folds', type=int, help='parts that the images are divided into; two if not given')
    parser.add_argument(
        '--out', type=Path, metavar='DIR', default=WORK_DIRS / 'ablation', help=f'for {" and ".join(OUTPUTS)}'
    )
    options = parser.parse_args(argv)

    from sartorius.annotations.reading import load_annotations, load_groups
    from sartorius.leaderboard.ablation import FOLDS, measure, stages
    from sartorius.predictions.store import load_predictions
    from sartorius.utils.files import staged_folder, write_text
    from sartorius.utils.spreadsheets import write_table

    gt, groups = load_annotations(options.annotations), load_groups(options.annotations)
    others = [load_predictions(path) for path in options.others]
    plain = load_predictions(options.predictions)
    planned = list(stages(plain, options.tta and load_predictions(options.tta), others))
    folds = FOLDS if options.folds is None else options.folds
    rows, table = measure(planned, gt, groups, folds)
    text = format_rows(rows)
    about = f'{len(table)} images in {table["group"].nunique()} groups, tuned on other groups in {folds} folds.'
    print(f'{text}\n\n{about}')
    with staged_folder(options.out) as folder:
        write_text(folder / OUTPUTS[0], f'{text}\n\n{about}\n')
        write_table(folder / OUTPUTS[1], table)
    print(f'wrote {", ".join(OUTPUTS)} to {display_path(options.out)}')


def format_rows(rows: 'Sequence[AblationRow]') -> str:
    """Markdown table of the rows."""
    from sartorius.utils.tables import markdown_table

    classes = list(rows[0].classes)
    cells = []
    for row in rows:
        gain = (
            ('', '') if row.gain is None else (f'{row.gain.mean:+.4f}', f'{row.gain.low:+.4f} to {row.gain.high:+.4f}')
        )
        own = (f'{row.score.mean:.4f}', f'{row.score.low:.4f} to {row.score.high:.4f}')
        cells.append((row.name, *own, *gain, *(f'{row.classes[name].mean:.4f}' for name in classes)))
    return markdown_table(['', 'mAP', '95% interval', 'gain', '95% interval', *classes], cells)


if __name__ == '__main__':
    run_tool(main)
