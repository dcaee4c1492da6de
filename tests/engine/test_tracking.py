"""--wandb with the real client, offline: the config and the metrics are kept, and nothing of the folder around."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import VISBACKENDS

from sartorius.engine import tracking
from sartorius.engine.run_config import RecipeOptions, TrainOptions, build_train_config
from sartorius.utils.paths import CONFIG_DIR


def test_config_and_metrics_are_all_that_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('wandb', reason='the extra "wandb" is not installed')
    (tmp_path / 'own').mkdir()
    (tmp_path / 'own' / 'private_code.py').write_text('secret = 1\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('WANDB_MODE', 'offline')
    config = build_train_config(
        RecipeOptions(CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py'), train=TrainOptions(wandb=True, work_dir=tmp_path)
    )
    backend = VISBACKENDS.build(dict(config.visualizer.vis_backends[-1], save_dir=str(tmp_path / 'run')))
    assert isinstance(backend, tracking.MetricsWandbBackend)
    backend.add_config(Config(dict(learning_rate_of_test=0.125)))
    backend.add_scalars({'loss_of_test': 0.5}, step=1)
    backend.close()
    (folder,) = (tmp_path / 'run' / 'wandb').glob('offline-run-*')
    kept = b''.join(path.read_bytes() for path in folder.rglob('*.wandb'))
    assert b'learning_rate_of_test' in kept and b'loss_of_test' in kept
    assert not re.search(rb'private_code|secret|requirements\.txt|wandb-metadata\.json', kept)
    assert [path.name for path in (folder / 'files').rglob('*') if path.is_file()] == []
