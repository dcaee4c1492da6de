"""MMEngine's runner for training."""

import copy
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from sartorius.utils.files import write_text


class TrainingRunner(Runner):
    """MMEngine's runner, except that the config in the work dir is left to :func:`write_config`.

    MMEngine writes over it, so that a run that is killed then leaves half a config beside the checkpoints of a run
    before; and its config of a resumed run would start another one from a checkpoint in the middle.
    """

    def dump_config(self) -> None:
        """Writes nothing."""


def write_config(config: Config, path: Path, load_from: str | None) -> None:
    """Writes the config of a run as it was asked for: where it was resumed from is no part of it.

    Args:
        config: Config of the run.
        path: File that is written.
        load_from: First weights that were asked for; None for those of ``init_from``, or random ones.
    """
    asked = copy.deepcopy(config)
    asked.load_from, asked.resume = load_from, False
    write_text(path, asked.pretty_text)
