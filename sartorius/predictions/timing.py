"""How long a prediction took: beside the predictions file, which holds nothing that another run would not repeat.

``predictions_test.npz`` has ``predictions_test.timing.json``. It names the hash of the file that it is about, so that
the times of another one are never shown; nothing hashes it or depends on it.
"""

import json
import math
from pathlib import Path

from sartorius.utils.files import sha256_of, write_text
from sartorius.utils.input_text import read_json

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
