"""Checks a submission CSV against the competition's rules."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool

SHOWN_PROBLEMS = 20


def image_size(text: str) -> tuple[int, int]:
    """``(height, width)`` of a text such as 704x520."""
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f'{text!r} is not WIDTHxHEIGHT, such as 704x520')
    return int(height), int(width)


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser(
        'Check a submission CSV against the rules of the competition: prints OK and what the file holds, or each '
        'broken rule with its row (the header is row 1), image and pixel, and then exits with 1.',
        'python tools/check_submission.py work_dirs/submission.csv --sample data/sartorius/sample_submission.csv',
    )
    parser.add_argument('submission', type=Path, help='the CSV to check')
    parser.add_argument('--sample', type=Path, help='CSV such as sample_submission.csv that names every required image')
    parser.add_argument('--size', type=image_size, default='704x520', metavar='WxH', help='size of the images')
    args = parser.parse_args(argv)

    from sartorius.submission.csv_format import find_problems, read_submission
    from sartorius.utils.errors import InputError

    required = {row.image_id: args.size for row in read_submission(args.sample)} if args.sample else {}
    problems = find_problems(args.submission, required if args.sample else args.size, required)
    if problems:
        for problem in problems[:SHOWN_PROBLEMS]:
            print(problem)
        if len(problems) > SHOWN_PROBLEMS:
            print(f'... and {len(problems) - SHOWN_PROBLEMS} more')
        raise InputError(f'{args.submission} is not legal (problems in all: {len(problems)})')
    rows = read_submission(args.submission)
    images, filled = {row.image_id for row in rows}, {row.image_id for row in rows if row.code.strip()}
    cells = sum(bool(row.code.strip()) for row in rows)
    print(f'OK: {len(images)} images, {cells} cells, {len(images) - len(filled)} images without cells')


if __name__ == '__main__':
    run_tool(main)
