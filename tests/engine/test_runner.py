"""The config that a run leaves in its work dir."""

import os
from pathlib import Path

from mmengine.config import Config

from sartorius.engine.runner import write_config


def test_the_config_in_the_work_dir_is_replaced_and_not_written_over(tmp_path: Path) -> None:
    there = tmp_path / 'mrcnn.py'
    there.write_text('model = 1\n')
    # Another name of the same file keeps what a run that is killed while it writes would find.
    os.link(there, tmp_path / 'kept.py')
    write_config(Config(dict(model=2)), there, None)
    assert Config.fromfile(there).model == 2
    assert (tmp_path / 'kept.py').read_text() == 'model = 1\n'


def test_the_config_of_a_resumed_run_is_that_of_the_unbroken_one(tmp_path: Path) -> None:
    unbroken = Config(dict(model=2, load_from='start.pth', resume=False))
    resumed = Config(dict(model=2, load_from='iter_5.pth', resume=True))
    write_config(unbroken, tmp_path / 'unbroken.py', 'start.pth')
    write_config(resumed, tmp_path / 'resumed.py', 'start.pth')
    assert (tmp_path / 'unbroken.py').read_text() == (tmp_path / 'resumed.py').read_text()
    assert resumed.resume, 'the run still needs it'
