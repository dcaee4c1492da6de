"""The record that every training run keeps of itself: ``run.json`` in its work dir."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sartorius.utils.errors import InputError
from sartorius.utils.files import write_text
from sartorius.utils.paths import display_path

RUN_FILE = 'run.json'
SCHEMA = 'sartorius-run'
VERSION = 1
MADE, LIVECELL, SARTORIUS = 'made images', 'LIVECell', 'Sartorius'
"""What ``data.train.origin`` and ``data.val.origin`` can be."""

# What whoever reads a record may rely on; the rest is for people.
KEYS = ('recipe', 'config_sha256', 'seed', 'fold', 'data', 'iterations', 'iterations_done', 'minutes', 'device')


def write_run(work_dir: str | Path, record: Mapping[str, Any]) -> Path:
    """Writes a run's record atomically.

    Args:
        work_dir: Work dir of the run.
        record: Plain JSON types, without schema and version.

    Returns:
        Path of the file.
    """
    path = Path(work_dir) / RUN_FILE
    content = {'schema': SCHEMA, 'version': VERSION, **record}
    write_text(path, json.dumps(content, indent=1) + '\n')
    return path


def read_run(folder: str | Path) -> dict[str, Any] | None:
    """Reads the record of the run in a folder.

    Returns:
        The record with ``schema`` and ``version``, or None where the folder has none.

    Raises:
        InputError: The file is no such record, or one of another version.
    """
    path = Path(folder) / RUN_FILE
    if not path.is_file():
        return None
    name = display_path(path)
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise InputError(f'{name}: not JSON ({error}); move it away, the weights can be used without it') from None
    if not isinstance(record, dict) or record.get('schema') != SCHEMA:
        raise InputError(f'{name}: not the record of a training run (schema {SCHEMA!r}); move it away')
    if record.get('version') != VERSION:
        raise InputError(f'{name}: version {record.get("version")!r}, this code reads {VERSION}')
    missing = [key for key in KEYS if key not in record]
    if missing:
        raise InputError(f'{name}: {missing[0]!r} is missing; move it away, the weights can be used without it')
    return record
