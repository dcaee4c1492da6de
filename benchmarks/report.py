"""Results of the benchmarks as a table on the terminal, as Markdown and as JSON."""

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure import Measurement, Side

from sartorius.utils.clock import date_of_files
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path
from sartorius.utils.paths import display_path
from sartorius.utils.tables import markdown_table
from sartorius.utils.version import describe_version

PACKAGES = (
    'numpy', 'scipy', 'opencv-python', 'numba', 'pycocotools', 'torch', 'onedl-mmcv', 'onedl-mmdetection',
    'cellpose', 'stardist',
)  # fmt: skip
NOT_MEASURED = 'not measured'


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, versions and date."""
    versions = {'sartorius': describe_version(), 'python': platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        'processor': _processor(),
        'cores': len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(),
        'memory_bytes': _memory_bytes(),
        'system': f'{platform.system()} {platform.machine()}',
        'versions': versions,
        'date': date_of_files().strftime('%Y-%m-%d'),
    }


def to_json(measurements: Sequence[Measurement], machine: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Everything that was measured, each single run included."""
    results = [
        {
            'name': item.name,
            'work': item.work,
            'peer': item.peer,
            'goal': item.goal,
            'outputs': item.check,
            'skipped': item.skipped,
            'point': dict(item.point),
            'threads': item.threads,
            'cpu_time': item.cpu_time,
            'ours': _side_entry(item.ours),
            'theirs': item.theirs and _side_entry(item.theirs),
            'time_ratio': item.time_ratio,
            'time_ratio_range': item.time_ratio_range,
            'memory_ratio': item.memory_ratio,
        }
        for item in measurements
    ]
    return json.dumps({'machine': dict(machine), 'notes': list(notes), 'results': results}, indent=1) + '\n'


def to_text(measurements: Sequence[Measurement]) -> str:
    """Table for a terminal."""
    rows = [('', 'ours', 'peer', 'ratio', 'ours', 'peer', 'ratio')]
    rows += [(item.name, *_figures(item)) for item in measurements]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ['  '.join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines = [f'{row[0].ljust(widths[0])}{line[widths[0] :]}'.rstrip() for row, line in zip(rows, lines, strict=True)]
    times, memories = sum(widths[1:4]) + 4, sum(widths[4:]) + 4
    return '\n'.join([f'{"":{widths[0]}}  {"time":^{times}}  {"peak memory":^{memories}}'.rstrip(), *lines])


def to_markdown(measurements: Sequence[Measurement], machine: Mapping[str, Any]) -> str:
    """Table for a page, with the machine below it."""
    header = ('work', 'against', 'time: ours, peer', 'ratio', 'memory: ours, peer', 'ratio', 'goal', 'outputs')
    rows = []
    for item in measurements:
        ours, theirs, ratio, memory, peer_memory, memory_ratio = _figures(item)
        both = (f'{ours}, {theirs}', ratio, f'{memory}, {peer_memory}', memory_ratio)
        outcome = item.check or f'peer skipped: {item.skipped}'
        rows.append([item.work, item.peer, *both, item.goal, outcome])
    used = max(item.threads for item in measurements)
    threads = 'one thread' if used == 1 else f'{used} threads'
    caption = _caption(machine, f"{threads}, the processor's time" if measurements[0].cpu_time else threads)
    return f'{markdown_table(header, rows, text_columns=(0, 1, 6, 7))}\n\n{caption}\n'


def describe(item: Measurement) -> str:
    """One measurement in a few lines."""
    ours, theirs, ratio, ours_memory, theirs_memory, memory_ratio = _figures(item)
    span = item.time_ratio_range
    lines = [f'{item.name}: {item.work}']
    if span is None:
        lines += [f'  time     ours {ours}', f'  memory   ours {ours_memory}', f'  peer     skipped: {item.skipped}']
    else:
        rounds = len(item.ours.rounds)
        between = f'{rounds} rounds, ratio {_ratio(span[0])} to {_ratio(span[1])}'
        lines += [
            f'  time     ours {ours}, {item.peer} {theirs}: {ratio} ({between})',
            f'  memory   ours {ours_memory}, peer {theirs_memory}: {memory_ratio}',
            f'  outputs  {item.check}',
        ]
    return '\n'.join([*lines, f'  goal     {item.goal}'] if item.goal else lines)


def themes_of(measurements: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Measurements by theme, the part of their names before the slash."""
    themes: dict[str, list[Measurement]] = {}
    for item in measurements:
        themes.setdefault(item.name.split('/')[0], []).append(item)
    return themes


def update_page(path: Path, measurements: Sequence[Measurement], machine: Mapping[str, Any]) -> None:
    """Puts the table of each theme between ``<!-- bench:THEME -->`` and ``<!-- /bench:THEME -->`` of a page.

    Raises:
        InputError: The page is missing, or does not have the marks of a theme exactly once.
    """
    if not path.is_file():
        raise InputError(f'{display_path(path)}: no such page to put the tables into')
    text = path.read_text(encoding='utf-8')
    for theme, items in themes_of(measurements).items():
        begin, end = f'<!-- bench:{theme} -->', f'<!-- /bench:{theme} -->'
        marked = re.compile(f'{re.escape(begin)}.*?{re.escape(end)}', re.DOTALL)
        places = list(marked.finditer(text))
        if len(places) != 1:
            raise InputError(
                f'{display_path(path)}: {begin} and {end}, between which the table stands, must be there once, '
                f'not {len(places)} times'
            )
        start, stop = places[0].span()
        text = f'{text[:start]}{begin}\n{to_markdown(items, machine)}{end}{text[stop:]}'
    # The marks are HTML comments, which write_text does not let into a page.
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def _figures(item: Measurement) -> tuple[str, ...]:
    """Time, the peer's, their ratio; memory, the peer's, their ratio."""
    theirs = item.theirs
    return (
        _seconds(item.ours.seconds),
        _seconds(theirs.seconds) if theirs else '-',
        _ratio(item.time_ratio) if theirs else '-',
        _bytes(item.ours.peak_bytes),
        _bytes(theirs.peak_bytes) if theirs else '-',
        _ratio(item.memory_ratio) if item.memory_ratio else '-',
    )


def _side_entry(side: Side) -> dict[str, Any]:
    return {'seconds': side.seconds, 'peak_bytes': side.peak_bytes, 'rounds': side.rounds}


def _seconds(seconds: float) -> str:
    if seconds >= 1:
        return f'{seconds:.3g} s'
    return f'{1e3 * seconds:.3g} ms' if seconds >= 1e-3 else f'{1e6 * seconds:.3g} µs'


def _bytes(count: int | None) -> str:
    if count is None:
        return NOT_MEASURED
    megabytes = count / 1e6
    if megabytes >= 1000:
        return f'{megabytes / 1000:.3g} GB'
    return f'{megabytes:.3g} MB' if megabytes >= 1 else 'under 1 MB'


def _ratio(ratio: float) -> str:
    return f'{ratio:.0f}x' if ratio >= 10 else f'{ratio:.2g}x'


def _caption(machine: Mapping[str, Any], how: str) -> str:
    shown = ('numpy', 'torch', 'onedl-mmdetection', 'pycocotools')
    versions = ', '.join(f'{name} {machine["versions"][name]}' for name in shown if name in machine['versions'])
    return f'{machine["date"]}, {machine["processor"]}, {how}; {versions}.'


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        lines = []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    except (AttributeError, OSError, ValueError):
        return None
