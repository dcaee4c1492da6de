"""Makes the leaderboard page from predictions of validation folds."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.paths import CHECKOUT, WORK_DIRS, display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, scores and writes."""
    parser = make_parser(
        'Score every predictions_val*.npz below some folders, put the folds of each recipe together, compare all with '
        'a baseline image by image, and write one page: scores with intervals, and where each figure comes from.',
        'python tools/analysis/leaderboard.py work_dirs/workflows/small_variants --annotations '
        'work_dirs/workflows/small_variants/annotations',
    )
    parser.add_argument('places', nargs='+', type=Path, metavar='FOLDER', help='folders (or predictions files)')
    parser.add_argument(
        '--annotations',
        type=Path,
        required=True,
        metavar='DIR_OR_FILE',
        help='ground truth: folder of tools/prepare_sartorius.py, COCO JSON or training CSV',
    )
    parser.add_argument('--baseline', metavar='NAME', help='row to compare with; the simplest Mask R-CNN if not given')
    parser.add_argument(
        '--postprocess',
        type=Path,
        metavar='FILE',
        help='default chain (.json or .py); the one for the classes of the predictions if not given',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        default=(CHECKOUT / 'docs' if CHECKOUT else WORK_DIRS) / 'results.md',
        help='page to write (.md)',
    )
    parser.add_argument('--no-plot', action='store_true', help='write no picture (.png) beside the page')
    options = parser.parse_args(argv)
    if options.out.suffix != '.md':
        raise UsageError(f'--out {display_path(options.out)}: the page is Markdown, choose a name that ends in .md')

    from sartorius.annotations.reading import load_annotations, load_groups
    from sartorius.leaderboard.leaderboard_page import PageFacts, format_page, in_order
    from sartorius.leaderboard.rows import ALL_FILE, choose_baseline, expected_folds, find_files, group_rows
    from sartorius.leaderboard.scores import score_rows
    from sartorius.postprocess.chain import load_chain_for
    from sartorius.utils.files import file_set, sha256_of, write_text
    from sartorius.visualization.plots import plot_differences

    rows = group_rows(find_files(options.places))
    chosen = choose_baseline(rows, options.baseline)
    gt_file = options.annotations / ALL_FILE if options.annotations.is_dir() else options.annotations
    classes = tuple(dict.fromkeys(name for row in rows for file in row.files for name in file.header.classes))
    chain, chain_file = load_chain_for(classes, options.postprocess)
    scored, dropped = score_rows(rows, load_annotations(gt_file), load_groups(gt_file), chain)
    baseline = next((scores for scores in scored if scores.row is chosen), None)
    if baseline is None:
        raise UsageError(f'the baseline {chosen.name} has no image with ground truth; name another with --baseline')
    differences = [(scores.row.name, scores.difference(baseline)) for scores in in_order(scored, baseline)[1:]]
    drawn = [(name, found[0]) for name, found in differences if found is not None]
    plot = None if options.no_plot or not drawn else options.out.with_suffix('.png')
    facts = PageFacts(
        command=_command(options.places, options.annotations, options.baseline),
        annotations=(display_path(gt_file), sha256_of(gt_file)),
        postprocess=(display_path(chain_file), sha256_of(chain_file)),
        folds=expected_folds(rows, gt_file),
        plot=plot.name if plot else None,
    )
    page = format_page(scored, baseline, dropped, facts)
    with file_set():
        if plot:
            plot_differences(plot, drawn, baseline.row.name)
        write_text(options.out, page)
    print(page.split('\n## ')[0])
    print(f'wrote {" and ".join(display_path(path) for path in (options.out, plot) if path)}')


def _command(places: Sequence[Path], annotations: Path, baseline: str | None) -> str:
    """The command line as it could be typed from the checkout."""
    words = [
        'python',
        'tools/analysis/leaderboard.py',
        *map(display_path, places),
        '--annotations',
        display_path(annotations),
    ]
    return shlex.join([*words, *(['--baseline', baseline] if baseline else [])])


if __name__ == '__main__':
    run_tool(main)
