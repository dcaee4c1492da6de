"""Every command in README and docs is one that the tools understand, and every link leads somewhere."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]


def commands(page: Path) -> list[list[str]]:
    """Words of each `python tools/X.py ...` and `tools/X.sh ...` in the page, continuation lines joined."""
    text = page.read_text(encoding='utf-8').replace('\\\n', ' ')
    found = re.findall(r'(?:^|`|!)\s*(?:python )?(tools/[\w/]+\.(?:py|sh)[^`\n]*)', text, re.MULTILINE)
    return [shlex.split(line.split(' # ')[0].split(' | ')[0]) for line in found]


@cache
def help_of(tool: str) -> str:
    """What the tool says of itself; dist_*.sh pass their options on."""
    target = tool.replace('dist_', '').replace('.sh', '.py') if 'dist_' in tool else tool
    if target.endswith('.sh'):
        return (ROOT / target).read_text(encoding='utf-8')
    done = subprocess.run([sys.executable, ROOT / target, '--help'], capture_output=True, text=True, check=True)
    return done.stdout


CASES = [pytest.param(words, id=f'{page.stem}: {" ".join(words)}') for page in PAGES for words in commands(page)]


@pytest.mark.parametrize('words', CASES)
def test_command_is_understood(words: list[str]) -> None:
    assert (ROOT / words[0]).is_file(), f'no {words[0]}'
    for option in re.findall(r'(?<=\s)--[\w-]+', ' ' + ' '.join(words[1:])):
        assert option in help_of(words[0]), f'{words[0]} has no {option}'
    for config in [word for word in words if word.startswith('configs/') and '$' not in word]:
        assert (ROOT / config).is_file(), f'no {config}'


def test_there_are_commands_to_check() -> None:
    assert len(CASES) > 20


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r'\]\((?!https?://|#)([^)#]+)', page.read_text(encoding='utf-8')):
        assert (page.parent / target).exists(), f'{page.name} links to {target}'
