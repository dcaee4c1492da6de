"""The command ``sartorius NAME ...``, also ``python -m sartorius NAME ...``: starts a tool of tools/ by its name."""

import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size
from types import ModuleType

from sartorius.utils.cli import COMMAND, EXIT_USAGE, name_tools, run_tool
from sartorius.utils.errors import did_you_mean
from sartorius.utils.paths import PACKAGE_DIR, TOOL_DIR
from sartorius.utils.start import warn_of_another_checkout

GROUPS = {
    '': 'Train, predict, score',
    'data': 'Data',
    'analysis': 'Analysis',
}
"""Folders of tools/ whose tools have a name here, and their headings."""
LAUNCHERS = 'dist_*.sh'
SET_UP = 'Set-up'


def find_tools() -> dict[str, dict[str, Path]]:
    """Files of the tools by name, under the heading of their group."""
    tools = {}
    for folder, title in GROUPS.items():
        files = [path for pattern in ('*.py', LAUNCHERS) for path in (TOOL_DIR / folder).glob(pattern)]
        tools[title] = {path.stem: path for path in sorted(files)}
    return tools | {SET_UP: {'check_env': PACKAGE_DIR / 'check_env.py'}}


def main(argv: Sequence[str] | None = None) -> None:
    """Starts the tool that the first word names, with the other words as its command line."""
    run_tool(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> None:
    name, *words = (sys.argv[1:] if argv is None else argv) or ['--help']
    sys.argv = [COMMAND, name, *words]
    if name in ('-h', '--help'):
        print(_help(), end='')
        return
    if name == '--version':
        from sartorius.utils.version import describe_version

        print(describe_version())
        return
    tools = {tool: path for group in find_tools().values() for tool, path in group.items()}
    tool = name.replace('-', '_')
    if tool not in tools:
        print(f'error: no tool {name!r}{did_you_mean(tool, tools)}; {COMMAND} --help lists them', file=sys.stderr)
        sys.exit(EXIT_USAGE)
    _start(tool, tools[tool], words)


def _start(name: str, path: Path, words: Sequence[str]) -> None:
    """Runs a tool's file as ``python FILE`` does, except that it is called ``sartorius NAME``."""
    warn_of_another_checkout(f'{COMMAND} {name}')
    if path.suffix == '.sh':
        # `python` is the interpreter that the package is installed for.
        os.environ['PATH'] = f'{Path(sys.executable).parent}{os.pathsep}{os.environ.get("PATH", "")}'
        os.execvp('bash', ['bash', str(path), *words])
    sys.argv = [f'{COMMAND} {name}', *words]
    # Processes that a tool starts by `spawn` find the file by this module's.
    module = ModuleType('__main__')
    module.__file__ = str(path)
    sys.modules['__main__'] = module
    exec(compile(path.read_bytes(), path, 'exec'), module.__dict__)


def _help() -> str:
    lines = [
        f'usage: {COMMAND} NAME [OPTION ...]',
        '',
        f'Instance segmentation of crowded living cells. {COMMAND} NAME --help shows the options of a tool.',
    ]
    groups = find_tools()
    width, columns = max(len(name) for tools in groups.values() for name in tools), get_terminal_size().columns
    for title, tools in groups.items():
        lines += ['', f'{title}:']
        for name, path in tools.items():
            first, *more = textwrap.wrap(name_tools(_describe(path)), columns - width - 4)
            lines += [f'  {name:<{width}}  {first}', *(f'  {"":<{width}}  {rest}' for rest in more)]
    return '\n'.join([*lines, ''])


def _describe(path: Path) -> str:
    """First line of a tool's docstring, or of the comment at the top of a script."""
    lines = path.read_text(encoding='utf-8').splitlines()
    if path.suffix == '.sh':
        return lines[1].removeprefix('# ')
    return lines[0].strip('"')


if __name__ == '__main__':
    main()
