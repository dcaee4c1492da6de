"""MMEngine's runner, with a config in the work dir that is whole whenever the run is killed."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.runner import Runner

from sartorius.utils.files import write_text


class KeepingRunner(Runner):
    """MMEngine's runner, except that it replaces the config in the work dir in one step.

    MMEngine writes over it, so that a run that is killed then leaves half a config beside the checkpoints of a run
    before.
    """

    @master_only
    def dump_config(self) -> None:
        """Writes the config to the work dir."""
        name = Path(self.cfg.filename).name if self.cfg.filename is not None else f'{self.timestamp}.py'
        write_text(Path(self.work_dir, name), self.cfg.pretty_text)
