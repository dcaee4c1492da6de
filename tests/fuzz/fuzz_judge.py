"""Runs cases in a process of their own and judges each answer: read, refused in one sentence, or a fault.

The process is forked once for many cases; one that hangs or dies takes only its own case with it.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import resource
import select
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

READ, REFUSED = 'read', 'refused'
FAULTS = ('traceback', 'hang', 'memory', 'crash', 'wrong', 'unclear', 'noise')
"""What no answer may be: another exception; no answer in time; more than a GiB; the death of the process; a value that
cannot be; a refusal that does not name the file or is no single sentence; warnings of libraries on the terminal."""

CPU_SECONDS, WAIT_SECONDS, MAKING_SECONDS = 5.0, 12.0, 120.0
"""Limits of an answer: processor time, and time in all on a machine that has other work; and of making the case."""
MAX_MEMORY = 1 << 30
# Beyond this an allocation fails, so that a fault takes down the case and not the machine.
ADDRESS_SPACE = 3 << 30
MAX_SENTENCE = 1500
# Image libraries write a line or two of their own.
MAX_LINES = 5


class Wrong(Exception):
    """A value that was read contradicts what the file says."""


@dataclasses.dataclass(frozen=True)
class Cells:
    """Cells that a reader returned, the size of their image, and what it says that it left out."""

    size: tuple[int, int]
    crops: Sequence[Any]
    classes: Sequence[str] = ()
    said: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The judgement of one case.

    Attributes:
        outcome: :data:`READ`, :data:`REFUSED` or one of :data:`FAULTS`.
        place: Line of the package where a fault arose, if one is known.
        detail: The message.
        seconds: Time of the answer.
        mib: Peak of memory above what was in use before.
    """

    outcome: str
    place: str = ''
    detail: str = ''
    seconds: float = 0.0
    mib: int = 0

    @property
    def is_fault(self) -> bool:
        """Whether it is none of the answers that are right."""
        return self.outcome in FAULTS


def judge_all(
    count: int, make: Callable[[int], Callable[[], Any]], judge: Callable[[Callable[[], Any]], Verdict]
) -> Iterator[Verdict]:
    """Judges cases 0 to ``count`` in order.

    Args:
        count: Number of cases.
        make: Prepares a case, which is not timed, and returns what answers it.
        judge: Calls that and judges the answer (:func:`judge_answer`).
    """
    start = 0
    while start < count:
        for verdict in _from_one_process(range(start, count), make, judge):
            start += 1
            yield verdict


def _from_one_process(cases: Sequence[int], make: Callable, judge: Callable) -> Iterator[Verdict]:
    receiver, sender = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(receiver)
        _work(sender, cases, make, judge)
    os.close(sender)
    lines = _Lines(receiver, pid)
    try:
        for _ in cases:
            if not lines.next(MAKING_SECONDS, MAKING_SECONDS):
                raise RuntimeError('a case could not be made')
            began = time.monotonic()
            line = lines.next(CPU_SECONDS, WAIT_SECONDS)
            if line is None:
                yield Verdict('hang', detail='no answer in time', seconds=round(time.monotonic() - began, 1))
                return
            if not line:
                _, status = os.waitpid(pid, 0)
                yield Verdict('crash', detail=f'the process ended with {os.waitstatus_to_exitcode(status)}')
                return
            yield Verdict(**json.loads(line))
    finally:
        os.close(receiver)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _work(sender: int, cases: Sequence[int], make: Callable, judge: Callable) -> None:
    """The forked process: makes and judges, a line before and after each."""
    code = 1
    try:
        limit = _status('VmSize') + ADDRESS_SPACE
        for number in cases:
            answer = make(number)
            os.write(sender, b'made\n')
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            verdict = judge(answer)
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            os.write(sender, json.dumps(dataclasses.asdict(verdict)).encode() + b'\n')
        code = 0
    except BaseException:
        traceback.print_exc()
    os._exit(code)


class _Lines:
    """Lines that a process writes."""

    def __init__(self, receiver: int, pid: int) -> None:
        self.receiver, self.pid, self.rest = receiver, pid, b''

    def next(self, cpu_seconds: float, wait_seconds: float) -> bytes | None:
        """The next line; empty when the process has ended, None when its time is up."""
        began, used = time.monotonic(), _cpu(self.pid)
        while b'\n' not in self.rest:
            ready, _, _ = select.select([self.receiver], [], [], 0.5)
            if ready:
                part = os.read(self.receiver, 65536)
                if not part:
                    return b''
                self.rest += part
                continue
            busy, waited = _cpu(self.pid) - used, time.monotonic() - began
            # A busy process may have had to wait for the processor.
            if busy > cpu_seconds or (busy < 1 and waited > wait_seconds) or waited > MAKING_SECONDS:
                return None
        line, _, self.rest = self.rest.partition(b'\n')
        return line


def _cpu(pid: int) -> float:
    """Processor time of a process in seconds."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def _status(name: str) -> int:
    """A size in bytes that Linux tells of this process."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{name}:'):
            return int(line.split()[1]) << 10
    return 0


def judge_answer(answer: Callable[[], Any], names: Sequence[str], check: Callable[[Any], str], output: Path) -> Verdict:
    """Calls and judges.

    Args:
        answer: What is to be judged.
        names: The sentence of a refusal must contain one of them.
        check: Says what is wrong with a value that was read; empty if nothing.
        output: File to which what libraries print is written meanwhile.
    """
    from sartorius.utils.errors import InputError

    Path('/proc/self/clear_refs').write_text('5')
    before, began = _status('VmRSS'), time.process_time()
    outcome, place, detail, value = READ, '', '', None
    with _printed_to(output), warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter('always')
        try:
            value = answer()
        except (InputError, OSError) as error:
            outcome, detail = _judge_sentence(error, names)
            place = _place(error) if outcome != REFUSED else ''
        except MemoryError as error:
            outcome, place, detail = 'memory', _place(error), 'MemoryError'
        except Wrong as error:
            outcome, place, detail = 'wrong', 'oracle', str(error)
        except BaseException as error:
            outcome, place, detail = 'traceback', _place(error), f'{type(error).__name__}: {str(error)[:200]}'
    seconds, mib = time.process_time() - began, (_status('VmHWM') - before) >> 20
    if mib << 20 > MAX_MEMORY and outcome in (READ, REFUSED):
        outcome, detail = 'memory', f'{mib} MiB'
    if outcome == READ:
        wrong = check(value)
        outcome, detail = ('wrong', wrong) if wrong else (READ, '')
        place = wrong.split(':')[0] if wrong else ''
    if outcome in (READ, REFUSED) and shown:
        first = shown[0]
        outcome, place = 'noise', f'{_short(first.filename)}:{first.lineno}'
        detail = f'{first.category.__name__}: {str(first.message)[:200]}'
    told = output.read_text(encoding='utf-8', errors='replace')
    # A decoder that says the same of each of its attempts says one thing.
    lines = set(told.splitlines())
    if outcome in (READ, REFUSED) and len(lines) > MAX_LINES:
        outcome, detail = 'noise', f'{len(lines)} different lines, such as {told[:80]!r}'
    return Verdict(outcome, place, detail.encode('utf-8', 'backslashreplace').decode(), round(seconds, 3), mib)


def _judge_sentence(error: Exception, names: Sequence[str]) -> tuple[str, str]:
    text = str(error)
    where = f'{text} {getattr(error, "filename", None)}'
    if not any(name in where for name in names):
        return 'unclear', f'does not name the file: {type(error).__name__}: {text[:200]}'
    if '\n' in text.strip() or len(text) > MAX_SENTENCE:
        return 'unclear', f'{len(text)} characters in {text.count(chr(10)) + 1} lines: {text[:120]}'
    return REFUSED, text[:300]


@contextlib.contextmanager
def _printed_to(path: Path) -> Iterator[None]:
    """What the process and its libraries print goes to a file."""
    saved = os.dup(1), os.dup(2)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        for number, old in enumerate(saved, 1):
            os.dup2(old, number)
            os.close(old)
        os.close(target)


def _place(error: BaseException) -> str:
    """The innermost line of the package that an exception went through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if '/sartorius/' in frame.filename]
    return f'{_short(frames[-1].filename)}:{frames[-1].lineno}' if frames else ''


def _short(filename: str) -> str:
    return filename.rpartition('/site-packages/')[2].rpartition('/sartorius/')[2]


# Values


def unsound(value: Any, where: str = 'value') -> str:
    """What cannot be right about a value that a reader returned; empty if nothing is seen."""
    from sartorius.annotations.structures import CocoImage, ImageAnnotations
    from sartorius.images.structures import ImageStack
    from sartorius.label_quality.structures import AnnotatedImage
    from sartorius.predictions.structures import ImagePredictions

    if isinstance(value, ImageStack):
        return '' if value.frames.size and 0 not in value.size else f'{where}: an image of size {value.frames.shape}'
    if isinstance(value, ImageAnnotations | AnnotatedImage | CocoImage | ImagePredictions):
        problem = _unsound_image(value, where)
        if problem:
            return problem
    if isinstance(value, Cells):
        return _unsound_crops(value.crops, value.size, where)
    if isinstance(value, float | np.ndarray) and np.asarray(value).dtype.kind == 'f' and not np.isfinite(value).all():
        return f'{where}: a number that is not finite'
    return next(filter(None, (unsound(part, name) for name, part in _parts(value, where))), '')


def _parts(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            yield f'{type(value).__name__}.{one.name}', getattr(value, one.name)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield where, part
    elif isinstance(value, list | tuple):
        for part in value:
            yield where, part


def _unsound_image(image: Any, where: str) -> str:
    from sartorius.predictions.structures import ImagePredictions

    if not all(isinstance(side, int) and 0 < side < 1 << 31 for side in image.size):
        return f'{where}: an image of size {image.size}'
    path = PurePath(image.file_name if hasattr(image, 'file_name') else image.image_id)
    if not path.parts or path.is_absolute() or '..' in path.parts or '\x00' in str(path):
        return f'{where}: a name that leaves its folder: {str(path)[:80]!r}'
    if isinstance(image, ImagePredictions):
        if not np.isfinite(image.boxes).all() or (image.boxes[:, :2] > image.boxes[:, 2:]).any():
            return f'{where}: a box that is none'
        values = (image.scores, image.soft_masks)
        return (
            ''
            if all(not part.size or (part.min() >= 0 and part.max() <= 1) for part in values)
            else f'{where}: not in [0, 1]'
        )
    return _unsound_crops(getattr(image, 'crops', ()), image.size, where)


def _unsound_crops(crops: Sequence[Any], size: tuple[int, int], where: str) -> str:
    for crop in crops:
        x1, y1, x2, y2 = crop.tight().window
        if crop.mask.any() and not (0 <= x1 < x2 <= size[1] and 0 <= y1 < y2 <= size[0]):
            return f'{where}: a cell at {(x1, y1, x2, y2)} in an image of size {size}'
    return ''


def fingerprint(value: Any) -> str:
    """Hash of a value's content, without paths and hashes of files, which differ from file to file."""
    digest = hashlib.sha256()
    _update(digest, value)
    return digest.hexdigest()


def _update(digest: Any, value: Any) -> None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            if 'sha256' not in one.name:
                _update(digest, getattr(value, one.name))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            digest.update(str(key).encode('utf-8', 'surrogatepass'))
            _update(digest, part)
    elif isinstance(value, list | tuple | set):
        digest.update(f'[{len(value)}'.encode())
        for part in value:
            _update(digest, part)
    elif isinstance(value, np.ndarray):
        digest.update(f'{value.dtype}{value.shape}'.encode() + value.tobytes())
    elif not isinstance(value, Path):
        digest.update(repr(value).encode('utf-8', 'surrogatepass'))
