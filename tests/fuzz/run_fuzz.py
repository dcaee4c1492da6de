"""Hostile files through every reader, and hostile arrays through the numeric core: what comes back of each."""

import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_coverage import noting_functions
from fuzz_judge import FAULTS, READ, REFUSED, Verdict, fingerprint, judge_all, judge_answer, unsound
from fuzz_kinds import COMPANIONS, KINDS
from fuzz_mutations import BYTES, PLACES, Random, pick

from sartorius.utils.cli import make_parser, progress, run_tool
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import write_text
from sartorius.utils.paths import WORK_DIRS, display_path
from sartorius.utils.tables import markdown_table

READ_BY = 'read_by.json'
"""The functions of the package that ran when the sound files were read."""

RARE = 40
"""One case in so many is a mutation that takes seconds to make, or puts something else than a file in its place."""


@dataclass(frozen=True)
class Case:
    """A case of a kind, told by its number and the seed alone.

    Attributes:
        kind: Key of :data:`fuzz_kinds.KINDS`.
        number: From 0.
        name: Name of the sound file that is spoilt.
        reader: Number of the function that reads it.
        mutation: What is done to it.
        harmless: Whether it says the same afterwards.
        careful: Whether it must not be read as anything else.
    """

    kind: str
    number: int
    name: str
    reader: int
    mutation: Callable[..., Any]
    harmless: bool = False
    careful: bool = False


def choose_case(kind: str, number: int, rng: Random) -> Case:
    """Draws what is done to which file and who reads it."""
    entry = KINDS[kind]
    name, reader = pick(rng, list(entry.write)), int(rng.integers(len(entry.reads)))
    case = partial(Case, kind, number, name, reader)
    if rng.integers(RARE) == 0:
        return case(pick(rng, [*PLACES, *entry.rare]))
    if entry.same and rng.random() < 0.05:
        return case(pick(rng, entry.same), harmless=True)
    if entry.spoil and rng.random() < 0.65:
        return case(pick(rng, entry.spoil))
    return case(pick(rng, BYTES), careful=entry.checked)


class FileCases:
    """The cases of one kind in a folder of its own.

    Attributes:
        kind: Key of :data:`fuzz_kinds.KINDS`.
        seed: The seed.
        folder: Folder to work in.
    """

    def __init__(self, kind: str, seed: int, folder: Path) -> None:
        self.kind, self.seed, self.folder = kind, seed, folder
        self.sound = folder / 'sound'
        self.work = folder / 'work'
        self.output = folder / 'printed'
        self._lay_out(self.sound)
        self.expected = {}

    def learn(self) -> None:
        """Reads the sound files: what that gives is what a harmless change must give too."""
        for name, write in KINDS[self.kind].write.items():
            write(self.sound / name)
            for number, read in enumerate(KINDS[self.kind].reads):
                self._lay_out(self.work)
                write(self.work / name)
                try:
                    value = read(self.work / name)
                except InputError:
                    # Such as a reader of single images that is given a movie.
                    continue
                problem = unsound(value)
                if problem:
                    raise RuntimeError(f'{self.kind}: the sound {name} is not: {problem}')
                self.expected[name, number] = fingerprint(value)
            if not any((name, number) in self.expected for number in range(len(KINDS[self.kind].reads))):
                raise RuntimeError(f'{self.kind}: no function reads the sound {name}')

    def generator(self, number: int) -> Random:
        """Random numbers of one case."""
        return np.random.default_rng([self.seed, zlib.crc32(self.kind.encode()), number])

    def case(self, number: int) -> Case:
        """What a number stands for."""
        return choose_case(self.kind, number, self.generator(number))

    def make(self, number: int) -> Callable[[], Any]:
        """Puts the spoilt file of a case into the work folder; returns what reads it."""
        self._lay_out(self.work)
        case = self.case(number)
        self.write(case, self.work / case.name)
        return partial(self._read, case, self.work / case.name)

    def write(self, case: Case, path: Path) -> None:
        """Writes the spoilt file of a case."""
        if case.mutation in PLACES:
            case.mutation(path)
        else:
            sound = (self.sound / case.name).read_bytes()
            path.write_bytes(case.mutation(self.generator(case.number).spawn(1)[0], sound))

    def judge(self, answer: Callable[[], Any]) -> Verdict:
        """Judges the answer of :meth:`make`."""
        case, path = answer.args
        about = KINDS[self.kind].about
        names = (path.name, *COMPANIONS, str(self.work), *([about] if about else []))
        return judge_answer(answer, names, partial(self._check, case, path), self.output)

    def _read(self, case: Case, path: Path) -> Any:
        return KINDS[self.kind].reads[case.reader](path)

    def _check(self, case: Case, path: Path, value: Any) -> str:
        problem = unsound(value)
        # None is how some readers say that a file cannot be read; what is left out may be said beside the value.
        same = (case.harmless or case.careful) and value is not None and not getattr(value, 'said', None)
        expected = self.expected.get((case.name, case.reader))
        if not problem and same and expected is not None and fingerprint(value) != expected:
            problem = f'{case.mutation.__name__}: read as something else'
        return problem

    def _lay_out(self, folder: Path) -> None:
        """An empty folder with the sound files that readers of two files need."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, write in COMPANIONS.items():
            source = self.sound / name
            if folder == self.sound:
                write(source)
            else:
                os.link(source, folder / name)


def run_files(
    kind: str, count: int, seed: int, saved: Path, first: int = 0, read_by: set[str] | None = None
) -> list[tuple[Case, Verdict]]:
    """Cases of one kind.

    Args:
        kind: Key of :data:`fuzz_kinds.KINDS`.
        count: Number of cases.
        seed: The seed.
        saved: Folder in which the first file of each distinct fault is kept.
        first: Number of the first case.
        read_by: The functions of the package that read the sound files are added.
    """
    with tempfile.TemporaryDirectory(prefix='fuzz-') as name:
        cases = FileCases(kind, seed, Path(name))
        with noting_functions(set() if read_by is None else read_by):
            cases.learn()
        found = []
        seen = set()
        for verdict in judge_all(count, lambda number: cases.make(first + number), cases.judge):
            case = cases.case(first + len(found))
            found.append((case, verdict))
            key = verdict.outcome, verdict.place, verdict.detail.split(':')[0]
            if verdict.is_fault and key not in seen:
                seen.add(key)
                _save(cases, case, saved / kind)
    return found


def _save(cases: FileCases, case: Case, folder: Path) -> None:
    if case.mutation in PLACES or case.mutation in KINDS[case.kind].rare:
        return
    folder.mkdir(parents=True, exist_ok=True)
    cases.write(case, folder / f'{case.number}_{case.name}')


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and runs the cases."""
    parser = make_parser(
        'Give every reader files that are spoilt in all ways, and the numeric core hostile arrays: each must be read '
        'rightly or refused in one sentence that names the file, in 5 s and 1 GiB. Writes table.md and faults.json; '
        'exits with 1 if there is a fault.',
        'python tests/fuzz/run_fuzz.py --files 2000 --arrays 5000 --seed 3 --only predictions coco',
    )
    parser.add_argument('--files', type=int, default=2000, metavar='N', help='hostile files, over all kinds')
    parser.add_argument('--arrays', type=int, default=5000, metavar='N', help='hostile arrays, over all functions')
    parser.add_argument('--seed', type=int, default=0, help='equal seeds give equal cases')
    parser.add_argument(
        '--only', nargs='+', metavar='KIND', help=f'kinds of files ({", ".join(KINDS)}) and functions of arrays'
    )
    parser.add_argument(
        '--case', type=int, metavar='NUMBER', help='that case alone, of the one kind of --only, with what came of it'
    )
    parser.add_argument('--out', type=Path, metavar='DIR', default=WORK_DIRS / 'fuzz', help='folder to write to')
    args = parser.parse_args(argv)
    from fuzz_arrays import FUNCTIONS, run_arrays

    unknown = [name for name in args.only or () if name not in {*KINDS, *FUNCTIONS}]
    if unknown:
        raise UsageError(f'unknown kind {unknown[0]!r}; there are {", ".join([*KINDS, *FUNCTIONS])}')
    began = time.monotonic()
    kinds = [name for name in KINDS if name in (args.only or KINDS)]
    functions = [name for name in FUNCTIONS if name in (args.only or FUNCTIONS)]
    if args.case is not None:
        _show(run_files(kinds[0], 1, args.seed, args.out / 'files', args.case))
        return
    # One run, so that the processes that are forked have what their kinds need.
    _import(kinds)
    results: dict[str, list[tuple[Any, Verdict]]] = {}
    read_by: set[str] = set()
    for place, kind in enumerate(progress(kinds, 'files')):
        count = args.files // len(kinds) + (place < args.files % len(kinds))
        results[kind] = run_files(kind, count, args.seed, args.out / 'files', read_by=read_by)
    write_text(args.out / READ_BY, json.dumps(sorted(read_by), indent=1) + '\n')
    arrays = {}
    for place, name in enumerate(progress(functions, 'arrays')):
        count = args.arrays // len(functions) + (place < args.arrays % len(functions))
        arrays[name] = run_arrays(name, count, args.seed)
    _report(args.out, results, arrays, f'seed {args.seed}, {time.monotonic() - began:.0f} s')


def _import(kinds: Sequence[str]) -> None:
    """Loads what many cases need before processes are forked."""
    import cv2

    # What is dropped is said in log lines, which is right.
    logging.disable()
    cv2.setNumThreads(0)
    if any(KINDS[kind].needs_torch for kind in kinds):
        import torch

        import sartorius.engine  # noqa: F401

        torch.set_num_threads(1)


def _show(found: Sequence[tuple[Any, Verdict]]) -> None:
    for case, verdict in found:
        how = getattr(case.mutation, '__name__', case.mutation)
        print(f'{case.kind} {case.number}: {case.name}, {how}, reader {case.reader}')
        print(json.dumps(asdict(verdict), indent=1))


def _report(out: Path, files: Mapping[str, Any], arrays: Mapping[str, Any], how: str) -> None:
    """Writes and prints the table and the distinct faults; exits with 1 if there is one."""
    table = _table(files, 'files') + '\n\n' + _table(arrays, 'arrays') + f'\n\n{how}\n'
    faults = list(_distinct({**files, **arrays}))
    write_text(out / 'table.md', table)
    write_text(out / 'faults.json', json.dumps(faults, indent=1) + '\n')
    print(table)
    for fault in faults:
        what = f'{fault["kind"]}: {fault["count"]} x {fault["outcome"]} at {fault["place"] or "?"}'
        print(f'{what}: {fault["detail"]} (case {fault["case"]}, {fault["how"]})')
    if faults:
        print(f'{len(faults)} kinds of fault; the files are in {display_path(out / "files")}')
        raise SystemExit(1)


def _table(results: Mapping[str, Sequence[tuple[Any, Verdict]]], what: str) -> str:
    columns = [READ, REFUSED, *FAULTS]
    rows = []
    totals: Counter[str] = Counter()
    for kind, found in results.items():
        counts = Counter(verdict.outcome for _, verdict in found)
        totals.update(counts)
        rows.append([kind, len(found), *(counts[name] for name in columns)])
    rows.append(['all', sum(totals.values()), *(totals[name] for name in columns)])
    return markdown_table(['kind', what, *columns], rows)


def _distinct(results: Mapping[str, Sequence[tuple[Any, Verdict]]]) -> Iterator[dict[str, Any]]:
    for kind, found in results.items():
        groups: dict[tuple, list] = {}
        for case, verdict in found:
            if verdict.is_fault:
                groups.setdefault((verdict.outcome, verdict.place, verdict.detail.split(':')[0][:60]), []).append(
                    (case, verdict)
                )
        for (outcome, place, _), members in groups.items():
            case, verdict = members[0]
            mutation = getattr(case.mutation, '__name__', str(case.mutation))
            yield dict(
                kind=kind,
                outcome=outcome,
                place=place,
                count=len(members),
                case=case.number,
                how=mutation,
                detail=verdict.detail,
            )


if __name__ == '__main__':
    with contextlib.suppress(KeyboardInterrupt):
        run_tool(main)
