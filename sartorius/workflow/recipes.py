"""What a workflow has to know of a config."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.utils.errors import InputError
from sartorius.utils.paths import REPO_ROOT, display_path


@dataclass(frozen=True)
class RecipeFacts:
    """What a workflow has to know of a config.

    Attributes:
        iterations: Length of its training.
        sha256: Of all that it says, so that a change of it or of what it is based on is noticed.
        boxes_only: Whether it finds boxes without masks.
        init_from: Config whose weights it starts from; None for none.
        same_fold: Whether that one is trained in every fold as well.
    """

    iterations: int
    sha256: str
    boxes_only: bool = False
    init_from: Path | None = None
    same_fold: bool = False


def read_facts(config: Path, cfg_options: Sequence[str] = (), small: bool = False) -> RecipeFacts:
    """Reads a config, with ``KEY=VALUE`` words of ``--cfg-options`` and perhaps ``--small``.

    Raises:
        InputError: It cannot be read, or starts from what is no config.
    """
    from sartorius.engine.config import load_config, parse_options

    content = load_config(config, parse_options(cfg_options))
    start, same_fold = content.get('init_from'), False
    if start is not None:
        same_fold = bool(start.get('same_fold', False))
        start = REPO_ROOT / start['config']
        if not start.is_file():
            raise InputError(f'{display_path(config)}: init_from: {display_path(start)}: no such config')
    return RecipeFacts(
        iterations=content.train_cfg.max_iters,
        sha256=hashlib.sha256((content.pretty_text + ('small' if small else '')).encode()).hexdigest(),
        boxes_only=bool(content.get('boxes_only', False)),
        init_from=start,
        same_fold=same_fold,
    )
