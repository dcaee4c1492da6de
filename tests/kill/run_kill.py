"""Kills, power cuts and full disks for every tool that writes; and a workflow that is killed again and again."""

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from kill_cases import CASES, Case, tools_without_case
from kill_disk import SHARES, can_mount, fill_disk, lock_disk
from kill_material import Material
from kill_server import Server
from kill_soak import Soak, soak
from kill_trial import Outcome, Trial

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.tables import markdown_table

KILL, POWER, DISK, SOAK = 'kill', 'power', 'disk', 'soak'
FAULTS = ('mixed', 'lost', 'torn', 'next run fails', 'missing', 'differs', 'litter', 'message', 'not killed')
WORKFLOWS = {
    'workflow': ('tools/workflow.py {workflow} --data-root {data}', ('submission.csv',)),
    'predict': ('tools/workflow.py {predict_workflow} --data-root {data}', ('cells.csv', '*_masks.tif')),
}
"""What is soaked, and the results that must be equal to the byte."""

Attempt = Callable[[Outcome], None]


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, tries the cases and prints the table."""
    parser = make_parser(
        'Try every tool that writes, on small synthetic data, in an empty folder and over an earlier run: kill it just '
        'before each thing that it does there, look at what is left, and let the next run go on. With `power` '
        'all is lost that was not synced by then, with `disk` the disk is full or read-only (needs root), and with '
        '`soak` whole workflows are killed at random moments.',
        'python tests/kill/run_kill.py kill --only predict --points 500 --seed 0',
    )
    parser.add_argument('what', nargs='?', choices=(KILL, POWER, DISK, SOAK), default=KILL)
    parser.add_argument('--only', nargs='+', default=[], metavar='CASE', help='cases to try; all if not given')
    parser.add_argument('--points', type=int, metavar='N', help='a sample of so many points; soak: kills (20)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the sample and of what a power cut takes')
    parser.add_argument('--folder', type=Path, help='folder to work in, which is kept; a temporary one if not given')
    parser.add_argument('--list', action='store_true', help='only list the cases')
    options = parser.parse_args(argv)
    if without := tools_without_case():
        raise InputError(f'tests/kill/kill_cases.py has no case for {", ".join(without)}')
    titles = list(WORKFLOWS) if options.what == SOAK else [case.title for case in CASES]
    if options.list:
        print('\n'.join(titles))
        return
    if unknown := set(options.only).difference(titles):
        raise UsageError(f'--only: no case {sorted(unknown)[0]!r}; there are {", ".join(titles)}')
    if options.what == DISK and not can_mount():
        raise UsageError('disk: only root may mount the small file systems that it needs')
    folder = (options.folder or Path(tempfile.mkdtemp(prefix='kill-'))).resolve()
    server = Server(folder)
    try:
        chosen = [title for title in titles if title in options.only or not options.only]
        material, chance = Material(server, folder / 'material'), random.Random(options.seed)
        if options.what == SOAK:
            faults = soak_all(chosen, material, folder, options.points or 20, chance)
        else:
            cases = [case for case in CASES if case.title in chosen]
            outcomes = try_cases(cases, material, options.what, options.points, chance)
            print(table_of(outcomes))
            faults = sum(sum(outcome.faults.values()) for outcome in outcomes)
    finally:
        server.stop()
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    if faults:
        raise InputError(f'faults: {faults}')


def try_cases(
    cases: Sequence[Case], material: Material, what: str, points: int | None, chance: random.Random
) -> list[Outcome]:
    """Tries cases at all points, or at a sample of so many, of which each case has as many as it can and the others."""
    outcomes, left = [], points
    # Those with few points first, so that the others get what these leave.
    for number, case in enumerate(sorted(cases, key=lambda case: case.most or 1000)):
        began, outcome = time.monotonic(), Outcome(case.title)
        trial = Trial(case, material)
        attempts = list(attempts_of(trial, what, chance))
        outcome.points = len(attempts)
        share = len(attempts) if left is None else -(-left // (len(cases) - number))
        share = min(share, case.most or share, len(attempts))
        for index in sorted(chance.sample(range(len(attempts)), share)):
            attempts[index](outcome)
        left = None if left is None else left - share
        outcomes.append(outcome)
        loose = sorted({name for state in trial.states for name in state.ends.loose})
        _report(outcome, time.monotonic() - began, loose)
    return outcomes


def attempts_of(trial: Trial, what: str, chance: random.Random) -> Iterable[Attempt]:
    """All that can be tried with a case, in order."""
    for state in trial.states:
        if what == DISK:
            yield from (partial(fill_disk, trial, state, share) for share in SHARES)
            yield partial(lock_disk, trial, state)
        else:
            # A power cut may come after the end too.
            last = state.events + (what == POWER)
            cuts = chance if what == POWER else None
            yield from (partial(trial.kill, state, at, cuts) for at in range(1, last + 1))


def soak_all(titles: Sequence[str], material: Material, folder: Path, kills: int, chance: random.Random) -> int:
    """Soaks workflows; returns the number of faults."""
    faults = 0
    for title in titles:
        command, results = WORKFLOWS[title]
        place = folder / 'soak' / title
        shutil.rmtree(place, ignore_errors=True)
        words = [*material.words(command), '--out', '{out}']
        done: Soak = soak(words, place, results, kills, chance)
        faults += len(done.faults)
        print(f'{title}: {done.seconds:.0f} s if it is left alone; killed {done.kills} times: ', end='')
        print('\n  '.join(done.faults) or 'the same results to the byte, and no litter', flush=True)
    return faults


def _report(outcome: Outcome, seconds: float, loose: Sequence[str]) -> None:
    differ = f'; bytes differ from run to run: {", ".join(loose)}' if loose else ''
    said = f'{outcome.title}: {outcome.tried} of {outcome.points} points, {sum(outcome.faults.values())} faults'
    print('\n'.join([*outcome.notes, f'{said}, {seconds:.0f} s{differ}']), flush=True)


def table_of(outcomes: Sequence[Outcome]) -> str:
    """Markdown table of the cases, and their sums."""
    rows = [(one.title, one.points, one.tried, one.unfinished, one.faults) for one in outcomes]
    sums = [sum(row[at] for row in rows) for at in (1, 2, 3)]
    rows.append(('all', *sums, sum((row[4] for row in rows), Counter())))
    heads = ['case', 'points', 'tried', 'unfinished, and known as such', *FAULTS]
    return markdown_table(heads, [[*map(str, row[:4]), *(str(row[4][kind]) for kind in FAULTS)] for row in rows])


if __name__ == '__main__':
    run_tool(main)
