"""Tries a case: unbroken runs, then a kill before each event, what it left, and what the next run makes of it."""

import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch

from kill_cases import Case
from kill_material import Material
from kill_server import HERE, KILLED, Run
from kill_trees import Ends, Tree, tree_of
from power_cut import cut_power, forget, states_of

READER = HERE / 'read_outputs.py'
EMPTY, OVER = 'empty', 'over'
WITH_CONTENT = ('.npz', '.pth', 'postprocess.json')
"""Loose files that are compared by content."""


@dataclass
class State:
    """A state of the folder before the run, and what is known of unbroken runs that start from it.

    Attributes:
        name: ``empty``, or ``over`` an earlier run.
        ends: The folder before and after.
        events: Number of events of the run.
        reads: What the reader says of the folder before and after.
        contents: What must be equal in loose files.
    """

    name: str
    ends: Ends
    events: int
    reads: frozenset[str]
    contents: str


@dataclass
class Outcome:
    """Results of one case.

    Attributes:
        title: The case.
        points: Number of kill points there are.
        tried: Number of kills.
        unfinished: Kills after which files of two runs stood together and the project's readers refused or mended them.
        faults: Number of points by kind of fault.
        notes: What was found, one line for each kind and place.
    """

    title: str
    points: int = 0
    tried: int = 0
    unfinished: int = 0
    faults: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, where: str, what: str) -> None:
        """Counts a fault."""
        self.faults[kind] += 1
        self.notes.append(f'{self.title}, {where}: {kind}: {what}')


class Trial:
    """A case on material.

    Args:
        case: The case.
        material: What it reads, and who runs it.
    """

    def __init__(self, case: Case, material: Material) -> None:
        self.case, self.server, self.material = case, material.server, material
        self.out, self.before = self.server.work / 'out', self.server.work / 'before'
        material.words(case.material)
        self.states = self._unbroken()

    def words(self, text: str) -> list[str]:
        """A command line of the case."""
        return self.material.words(text, out=str(self.out))

    def restore(self, state: State | str) -> None:
        """Puts the folder back to what it was before the run."""
        shutil.rmtree(self.out, ignore_errors=True)
        if (state if isinstance(state, str) else state.name) == OVER:
            shutil.copytree(self.before, self.out, symlinks=True)
        else:
            self.out.mkdir(parents=True)

    def run(self, at: int = 0, again: bool = False, keep: bool = False) -> Run:
        """Runs the tool; ``again`` as a user types it after a kill."""
        more = self.case.again(self.out) if again else ''
        words = self.words(self.case.new)
        return self.server.run(self.case.file, [*words, *more.split()], self.out, at, keep)

    def read(self) -> str:
        """What the reader prints; ``refused`` where it refuses."""
        done = self.server.run(READER, self.words(self.case.reader), self.server.work / 'nothing')
        if done.code == 1 and 'Traceback' not in done.said and 'error:' in done.said:
            return 'refused'
        return done.said.strip().splitlines()[-1] if done.code == 0 else f'fails: {done.said[-500:]}'

    def contents(self, loose: list[str]) -> str:
        """Digest of what must be equal in loose files."""
        files = [str(self.out / name) for name in loose if name.endswith(WITH_CONTENT) and (self.out / name).exists()]
        if not files:
            return ''
        return self.server.run(READER, ['content', *files], self.server.work / 'nothing').said

    def _unbroken(self) -> list[State]:
        """Runs the earlier run and the new one, from each state twice."""
        states = []
        for name in (EMPTY, OVER):
            if name == OVER:
                if not self.case.old:
                    continue
                shutil.rmtree(self.before, ignore_errors=True)
                self.restore(EMPTY)
                self._must(self.server.run(self.case.file, self.words(self.case.old), self.out))
                shutil.move(self.out, self.before)
            elif self.case.needs_old:
                continue
            trees: list[Tree] = []
            reads = set()
            for _ in range(2):
                self.restore(name)
                old, _ = tree_of(self.out), reads.add(self.read() if name == OVER else '')
                done = self._must(self.run())
                trees.append(tree_of(self.out))
            reads.add(self.read())
            differ = {key for key in trees[0] if trees[0][key] != trees[1].get(key)}
            # A checkpoint records how its run was resumed.
            patterns = ('*iter_*.pth', *self.case.loose)
            loose = sorted(differ | {key for key in trees[1] if any(fnmatch(key, one) for one in patterns)})
            ends = Ends(old, trees[1], loose, self.case.apart, self.case.passing)
            states.append(State(name, ends, done.events, frozenset(reads), self.contents(loose)))
        return states

    def _must(self, done: Run) -> Run:
        if done.code:
            raise RuntimeError(f'{self.case.title}: an unbroken run ended with {done.code}:\n{done.said[-3000:]}')
        return done

    def kill(self, state: State, at: int, cuts: random.Random | None, outcome: Outcome) -> None:
        """Kills the tool before an event and judges what it left and what the next run makes of it.

        Args:
            state: What the folder holds.
            at: Number of the event; one more than there are for the end.
            cuts: With a power cut: what of that which was not synced is lost.
            outcome: Gets what is found.
        """
        self.restore(state)
        disk = states_of(self.out) if cuts else frozenset()
        forget(self.server.kept)
        done = self.run(at, keep=cuts is not None)
        outcome.tried += 1
        where = f'{state.name}, {at} of {state.events}'
        if done.code != (KILLED if at <= state.events else 0):
            outcome.add('not killed', where, f'ended with {done.code}: {done.said[-300:]}')
            return
        if cuts:
            cut_power(self.out, self.server.log, disk, cuts if cuts.random() < 0.5 else None)
            if at > state.events:
                # All must be there; what was removed may be back until the next run.
                found = state.ends.faults_after(tree_of(self.out))
                for kind in found.keys() - {'litter'}:
                    outcome.add('lost', f'{where} (after its end)', found[kind][0])
        self.judge(state, outcome, where)
        self.go_on(state, outcome, where)

    def judge(self, state: State, outcome: Outcome, where: str) -> None:
        """What stands after a kill."""
        found = state.ends.faults(tree_of(self.out))
        says = self.read() if found or self.case.apart else ''
        if says.startswith('fails'):
            outcome.add('torn', where, says)
        elif found and (says == 'refused' or says in state.reads):
            outcome.unfinished += 1
            return
        for kind, names in found.items():
            outcome.add(kind, where, f'{names[0]}{f" and {len(names) - 1} more" if len(names) > 1 else ""}')

    def go_on(self, state: State, outcome: Outcome, where: str) -> None:
        """What the next run of the same tool makes of it."""
        done = self.run(again=True)
        if done.code and not (self.case.refuses_done and not state.ends.faults(tree_of(self.out)) and done.code == 2):
            outcome.add('next run fails', where, done.said.strip()[-400:])
            return
        for kind, names in state.ends.faults_after(tree_of(self.out)).items():
            outcome.add(kind, where, f'{names[0]}{f" and {len(names) - 1} more" if len(names) > 1 else ""}')
        if self.contents(state.ends.loose) != state.contents:
            outcome.add('differs', where, f'contents of {", ".join(state.ends.loose)}')
