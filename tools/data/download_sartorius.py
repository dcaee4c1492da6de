"""Downloads the competition's data with the kaggle client."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, name_tools, run_tool
from sartorius.utils.locks import lock_folder
from sartorius.utils.paths import BASE_DIR, display_path


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and downloads."""
    parser = make_parser(
        "Download the competition's data with the kaggle client and unpack them. Needs the client (pip install "
        'kaggle), an API token, and that you accepted the rules on the web page of the competition.',
        'python tools/data/download_sartorius.py --out data/sartorius',
    )
    parser.add_argument(
        '--out', type=Path, metavar='DIR', default=BASE_DIR / 'data' / 'sartorius', help='folder to make'
    )
    args = parser.parse_args(argv)

    from sartorius.annotations.download import download_sartorius

    with lock_folder(args.out, 'download', beside=True):
        download_sartorius(args.out)
    print(f'downloaded to {display_path(args.out)}')
    print(name_tools(f'next: python tools/prepare_sartorius.py --data-root {display_path(args.out)}'))


if __name__ == '__main__':
    run_tool(main)
