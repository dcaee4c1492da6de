"""The config that a run leaves in its work dir."""

import os
from pathlib import Path
from types import SimpleNamespace

from mmengine.config import Config

from sartorius.engine.runner import KeepingRunner


def test_the_config_in_the_work_dir_is_replaced_and_not_written_over(tmp_path: Path) -> None:
    there = tmp_path / 'mrcnn.py'
    there.write_text('model = 1\n')
    # Another name of the same file keeps what a run that is killed while it writes would find.
    os.link(there, tmp_path / 'kept.py')
    (tmp_path / 'given').mkdir()
    (tmp_path / 'given/mrcnn.py').write_text('model = 2\n')
    config = Config.fromfile(tmp_path / 'given/mrcnn.py')

    KeepingRunner.dump_config(SimpleNamespace(cfg=config, work_dir=str(tmp_path)))

    assert Config.fromfile(there).model == 2
    assert (tmp_path / 'kept.py').read_text() == 'model = 1\n'
