"""How long stages take, from what was measured on this kind of machine; what was never measured is unknown."""

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from sartorius.predictions.store import read_header
from sartorius.utils.errors import InputError
from sartorius.utils.runs import RUN_FILE, read_run
from sartorius.workflow.records import DONE, read_record
from sartorius.workflow.stages import Plan, Stage, load_plan

# Kinds whose time hardly depends on the recipe.
QUICK = ('check', 'submit', 'join', 'results')


@dataclass
class Measured:
    """What earlier runs took.

    Attributes:
        seconds_a_unit: Of trainings (an iteration, validation included) and predictions (an image), by the stage's
            :func:`unit`; the newest measurement counts.
        start_up: What these took besides, in seconds: imports, loading, building the model.
        seconds: Of stages of other kinds, by kind.
    """

    seconds_a_unit: dict[str, float] = field(default_factory=dict)
    start_up: list[float] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)


def unit(stage: Stage) -> str:
    """What a training's or prediction's time depends on, besides its length: recipe and kind of prediction."""
    switches = [word for word in ('--tta', '--tiles', '--boxes', '--amp') if word in stage.words]
    return ' '.join([stage.kind, stage.recipe, *switches])


def measure(folders: Iterable[Path], device: str) -> Measured:
    """Collects what trainings, predictions and workflows below some folders took.

    Args:
        folders: Such as ``work_dirs/``.
        device: As ``run.json`` names it; trainings and predictions on others do not count.
    """
    measured = Measured()
    folders = list(dict.fromkeys(path.resolve() for path in folders))
    for folder in folders:
        for path in sorted(folder.rglob(RUN_FILE), key=_changed):
            _add_run(measured, path, device)
        for path in sorted(folder.rglob('predictions_*.npz'), key=_changed):
            _add_predictions(measured, path, device)
    for folder in folders:
        for path in sorted(folder.rglob('workflow.json')):
            _add_workflow(measured, path)
    return measured


def expected_seconds(stage: Stage, measured: Measured) -> float | None:
    """How long a stage takes from its beginning; None if nothing like it was measured."""
    if stage.amount is not None:
        rate = measured.seconds_a_unit.get(unit(stage))
        return None if rate is None else rate * stage.amount + (median(measured.start_up) if measured.start_up else 0)
    known = measured.seconds.get(stage.kind)
    return median(known) if known else None


def expected_total(
    plan: Plan, times: Mapping[str, float | None], done: Collection[str], jobs: int, devices: int
) -> tuple[float, int]:
    """How long the stages that are left take when they run side by side.

    Args:
        plan: The workflow.
        times: Seconds of each stage by key; None where unknown, which counts as nothing.
        done: Keys of the stages that are done.
        jobs: Stages at once.
        devices: Trainings and predictions at once.

    Returns:
        Seconds until the last one ends, and how many stages of unknown time are among them.
    """
    left = [stage for stage in plan if stage.key not in done]
    waiting = {stage.key: {need.key for need in plan.needs(stage)} - set(done) for stage in left}
    running: list[tuple[float, str]] = []
    now, busy = 0.0, 0
    while waiting or running:
        for stage in left:
            ready = stage.key in waiting and not waiting[stage.key]
            if ready and len(running) < jobs and (busy < devices or not stage.on_device):
                del waiting[stage.key]
                busy += stage.on_device
                heapq.heappush(running, (now + (times[stage.key] or 0.0), stage.key))
        now, key = heapq.heappop(running)
        busy -= plan.stages[key].on_device
        for needs in waiting.values():
            needs.discard(key)
    return now, sum(times[stage.key] is None and stage.kind not in QUICK for stage in left)


def format_seconds(seconds: float | None) -> str:
    """A duration as people say it, to two digits or so."""
    if seconds is None:
        return 'unknown'
    if seconds < 90:
        return f'{seconds:.0f} s'
    if seconds < 90 * 60:
        return f'{seconds / 60:.0f} min'
    return f'{seconds / 3600:.1f} h'


def _add_run(measured: Measured, path: Path, device: str) -> None:
    try:
        run = read_run(path.parent)
    except InputError:
        return
    if run['device'] != device or not run['iterations_done'] or run['minutes'] is None:
        return
    seconds = 60 * (run['minutes'] + (run.get('validation_minutes') or 0.0))
    switches = ['--amp'] if run.get('precision') == 'amp' else []
    name = ' '.join(['train', _recipe_name(run['config']), *switches])
    measured.seconds_a_unit[name] = seconds / run['iterations_done']


def _add_predictions(measured: Measured, path: Path, device: str) -> None:
    try:
        source = read_header(path).source
    except InputError:
        return
    seconds, run = source.get('seconds_an_image'), source.get('run') or {}
    if not seconds or run.get('device') != device:
        return
    switches = [f'--{name}' for name in ('tta', 'tiles', 'boxes') if source.get(name)]
    measured.seconds_a_unit[' '.join(['predict', _recipe_name(source['config']), *switches])] = seconds


def _add_workflow(measured: Measured, path: Path) -> None:
    try:
        plan = load_plan(path)
    except (OSError, ValueError, KeyError, TypeError):
        return
    for stage in plan:
        record = read_record(plan, stage)
        if record is None or record.state != DONE:
            continue
        if stage.amount is None:
            measured.seconds.setdefault(stage.kind, []).append(record.seconds)
        elif unit(stage) in measured.seconds_a_unit:
            # A training that was resumed has more work behind it than its last run took.
            rest = record.seconds - measured.seconds_a_unit[unit(stage)] * stage.amount
            measured.start_up.append(max(0.0, rest))


def _recipe_name(config: str) -> str:
    """``sartorius/mrcnn_r50`` of a config's path: one name may stand in two folders."""
    path = Path(config)
    return f'{path.parent.name}/{path.stem}'


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
