"""How long predictions and trainings took: beside their files, which hold nothing that another run would not repeat.

``predictions_test.npz`` has ``predictions_test.timing.json``. It names the hash of the file that it is about, so that
the times of another one are never shown; nothing hashes it or depends on it. The minutes of a training are in its
``run.json``, by iteration, and not in its checkpoints.
"""

import json
import math
from dataclasses import replace
from pathlib import Path

from sartorius.predictions.provenance import RunRecord, read_run
from sartorius.utils.errors import InputError
from sartorius.utils.files import sha256_of, write_text
from sartorius.utils.input_text import read_json
from sartorius.utils.paths import resolve_path

SUFFIX = '.timing.json'
_HASH, _SECONDS = 'predictions_sha256', 'seconds_per_image'


def write_timing(predictions: Path, sha256: str, seconds_per_image: float) -> None:
    """Writes the wall time per image and process beside a predictions file, whose hash is given."""
    content = {_HASH: sha256, _SECONDS: seconds_per_image}
    write_text(predictions.with_suffix(SUFFIX), json.dumps(content, indent=1) + '\n')


def read_seconds_per_image(predictions: Path) -> float | None:
    """Wall time per image and process; None where there is no record of it, or one of another file."""
    try:
        content = read_json(predictions.with_suffix(SUFFIX))
        if content[_HASH] == sha256_of(predictions) and 0 <= content[_SECONDS] < math.inf:
            return float(content[_SECONDS])
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        pass
    return None


def with_times(run: RunRecord, checkpoint: str | Path) -> RunRecord:
    """The record that a checkpoint carries, with the minutes that ``run.json`` beside it keeps for it, if it does.

    Args:
        run: The record.
        checkpoint: The file, which need not be there any more.
    """
    if run.minutes is not None:
        return run
    try:
        beside = read_run(resolve_path(str(checkpoint)).parent)
    except InputError:
        return run
    if beside is None or (beside.config_sha256, beside.seed) != (run.config_sha256, run.seed):
        return run
    minutes = beside.times.get(str(run.iterations_done))
    is_known = isinstance(minutes, list | tuple) and [type(part) for part in minutes] == [float, float]
    if not is_known or beside.commands[: len(run.commands)] != run.commands:
        return run
    return replace(run, minutes=minutes[0], validation_minutes=minutes[1])


def minutes_with_first_runs(run: RunRecord, checkpoint: str | Path) -> float | None:
    """Minutes of a run and of all that it starts from; None where those of one are not known.

    Args:
        run: The record that its checkpoint carries.
        checkpoint: The file, as for :func:`with_times`.
    """
    minutes = [with_times(run, checkpoint).minutes]
    minutes += [
        with_times(weights.run, weights.file or '').minutes for weights in run.all_weights() if weights.run is not None
    ]
    return None if None in minutes else sum(minutes)
