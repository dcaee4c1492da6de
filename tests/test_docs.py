"""Every command and snippet in README and docs is one that the tools understand, and every link leads somewhere."""

import ast
import importlib
import json
import re
import shlex
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import pytest
import yaml

import sartorius.datasets  # noqa: F401  registers transforms
import sartorius.models  # noqa: F401  registers heads
from sartorius.__main__ import find_tools
from sartorius.engine.signatures import parameters_of, targets_of
from sartorius.fusion.methods import SET_METHODS
from sartorius.postprocess.steps import STEPS

ROOT = Path(__file__).resolve().parents[1]
FILES = {name: str(path.relative_to(ROOT)) for tools in find_tools().values() for name, path in tools.items()}
FIRST_PAGES = ('README.md', 'CONTRIBUTING.md', 'SECURITY.md')
PAGES = [*(ROOT / name for name in FIRST_PAGES), *sorted((ROOT / 'docs').glob('*.md'))]


def commands(page: Path) -> list[list[str]]:
    """Words of each `python tools/X.py ...`, `tools/X.sh ...` and `sartorius X ...` in the page, lines joined.

    The first word is the tool's file, of an unknown X what is written.
    """
    text = page.read_text(encoding='utf-8').replace('\\\n', ' ')
    found = re.findall(r'(?:^|`|!)\s*(?:python )?(tools/[\w/]+\.(?:py|sh)[^`\n]*)', text, re.MULTILINE)
    found += re.findall(r'(?:^|`|!)\s*(?:\S*/bin/)?sartorius ([a-z][\w-]*\b[^`\n]*)', text, re.MULTILINE)
    lines = [shlex.split(line.split(' # ')[0].split(' | ')[0]) for line in found]
    return [[FILES.get(name.replace('-', '_'), name), *words] for name, *words in lines]


@cache
def help_of(tool: str) -> str:
    """What the tool says of itself; dist_*.sh pass their options on."""
    target = tool.replace('dist_', '').replace('.sh', '.py') if 'dist_' in tool else tool
    if target.endswith('.sh'):
        return (ROOT / target).read_text(encoding='utf-8')
    done = subprocess.run([sys.executable, ROOT / target, '--help'], capture_output=True, text=True, check=True)
    return done.stdout


CASES = [
    pytest.param(words, id=f'{page.relative_to(ROOT)}: {" ".join(words)}') for page in PAGES for words in commands(page)
]


@pytest.mark.parametrize('words', CASES)
def test_command_is_understood(words: list[str]) -> None:
    assert (ROOT / words[0]).is_file(), f'no {words[0]}'
    for option in re.findall(r'(?<=\s)--[\w-]+', ' ' + ' '.join(words[1:])):
        assert option in help_of(words[0]), f'{words[0]} has no {option}'
    for config in [word for word in words if word.startswith('configs/') and '$' not in word]:
        assert (ROOT / config).is_file(), f'no {config}'


def test_there_are_commands_to_check() -> None:
    assert len(CASES) > 20


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r'\]\((?!https?://|#)([^)#]+)', page.read_text(encoding='utf-8')):
        assert (page.parent / target).exists(), f'{page.name} links to {target}'


SNIPPET = re.compile(r'^( *)```([^\n]*)\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)
LANGUAGES = {'bash', 'csv', 'ipython', 'json', 'pycon', 'python', 'text', 'yaml'}
SNIPPETS = [
    pytest.param(language, textwrap.dedent(code), id=f'{page.relative_to(ROOT)}: {language} {number}')
    for page in PAGES
    for number, (_, language, code) in enumerate(SNIPPET.findall(page.read_text(encoding='utf-8')), 1)
]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_is_fenced_and_names_its_language(page: Path) -> None:
    text = page.read_text(encoding='utf-8')
    assert {language for _, language, _ in SNIPPET.findall(text)} <= LANGUAGES
    outside = SNIPPET.sub('', text)
    assert '```' not in outside
    assert not re.search(r'^(?! *([-*]|\d+\.) ).*\n\n {4}\S', outside, re.MULTILINE), 'code that is indented only'


@pytest.mark.parametrize(('language', 'code'), SNIPPETS)
def test_snippet_is_sound(language: str, code: str) -> None:
    if language == 'bash':
        done = subprocess.run(['bash', '-n'], input=code, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif language == 'yaml':
        assert yaml.safe_load(code)
    elif language == 'json':
        assert json.loads(code)
    elif language == 'python':
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                for name in node.names:
                    assert hasattr(module, name.name), f'{node.module} has no {name.name}'
            elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict':
                check_typed_dict({key.arg: key.value for key in node.keywords})


def check_typed_dict(values: dict[str | None, ast.expr]) -> None:
    """``dict(type='X', ...)`` names a registered class, a step or a fusion method, and keys that it takes."""
    if not isinstance(values.get('type'), ast.Constant):
        return
    name = values['type'].value
    own = [table[name] for table in (STEPS, SET_METHODS) if name in table]
    targets = [*own, *targets_of(name)]
    assert targets, f'nothing is registered as {name!r}'
    signatures = [parameters_of(target) for target in targets]
    known = frozenset().union(*(names for names, _ in signatures))
    unknown = set(values) - known - {'type', '_delete_'}
    assert not unknown or any(more for _, more in signatures), f'{name} takes no {unknown}'
