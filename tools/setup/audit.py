"""Looks up known vulnerabilities of the locked packages, with pip-audit in an environment of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import InputError
from sartorius.utils.paths import PROJECT_DIR, display_path

LOCK = PROJECT_DIR / 'requirements' / 'lock.txt'


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, asks and tells."""
    parser = make_parser(
        'Look up known vulnerabilities of locked packages, with pip-audit in a throw-away environment.',
        'python tools/setup/audit.py',
    )
    parser.add_argument('lock', nargs='?', type=Path, default=LOCK, metavar='FILE', help='pinned requirements')
    lock = parser.parse_args(argv).lock
    print(judge(ask(lock), display_path(lock)))


def ask(lock: Path) -> str:
    """What pip-audit answers, as JSON.

    Raises:
        InputError: It cannot be installed, or the advisory service cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix='audit-') as scratch:
        python = Path(scratch, 'bin', 'python')
        for words in (
            [sys.executable, '-m', 'venv', scratch],
            [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', 'pip-audit'],
        ):
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                raise InputError(f'the audit has not run: pip-audit cannot be installed ({_last_line(done.stderr)})')
        words = ['--requirement', lock, '--no-deps', '--disable-pip', '--progress-spinner', 'off', '--format', 'json']
        done = subprocess.run([python, '-m', 'pip_audit', *words], capture_output=True, text=True)
    if not done.stdout:
        raise InputError(f'the audit has not run: {_last_line(done.stderr)}')
    return done.stdout


def judge(answer: str, lock: str) -> str:
    """One sentence about packages without known vulnerabilities.

    Args:
        answer: JSON of pip-audit.
        lock: Name of the file for messages.

    Raises:
        InputError: Naming what is vulnerable, and packages for which there was no answer: pip-audit itself takes
            silence for "nothing is known".
    """
    packages = json.loads(answer)['dependencies']
    unknown = [package['name'] for package in packages if 'skip_reason' in package]
    problems = [
        f'{package["name"]} {package["version"]}: {", ".join(one["id"] for one in package["vulns"])}; fixed in '
        f'{", ".join(dict.fromkeys(version for one in package["vulns"] for version in one["fix_versions"])) or "none"}'
        for package in packages
        if package.get('vulns')
    ]
    if len(unknown) == len(packages):
        raise InputError(
            f'the audit has not run: the advisory service answered for none of the {len(packages)} packages of {lock}; '
            'run it where https://pypi.org can be reached'
        )
    if unknown:
        problems.append(f'no answer for {len(unknown)} of {len(packages)} packages: {", ".join(unknown)}')
    if problems:
        raise InputError('\n'.join([f'{lock} is not known to be free of vulnerabilities:', *problems]))
    return f'no known vulnerabilities in the {len(packages)} packages of {lock}'


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ['it said nothing'])[-1][:300]


if __name__ == '__main__':
    run_tool(main)
