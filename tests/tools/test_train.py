"""Bad input to training and prediction: one sentence, the right exit code, nothing written."""

import runpy
from pathlib import Path

import pytest

from sartorius.engine import training
from sartorius.utils.cli import run_tool

from ..models.forged import forge, hostile_parts


def call(repo_root: Path, tool: str, *words: str) -> int:
    """Exit code of a tool run in this process."""
    main = runpy.run_path(str(repo_root / 'tools' / tool))['main']
    with pytest.raises(SystemExit) as stop:
        run_tool(lambda: main(words))
    return stop.value.code


@pytest.mark.parametrize(
    ('words', 'code', 'message'),
    [
        (['configs/sartorius/nothing.py'], 2, 'no such config'),
        (['CONFIG', '--cfg-options', 'train_cfg.max_iter=3'], 1, 'did you mean train_cfg.max_iters'),
        (['CONFIG', '--cfg-options', 'train_cfg.max_iters'], 2, 'takes KEY=VALUE'),
        (['CONFIG', '--wandb'], 2, 'pip install wandb'),
        (['CONFIG', '--seed', '-1'], 2, 'must be 0 or more, not -1'),
        (['CONFIG', '--iterations', '0'], 2, 'at least 1, not 0'),
        (['CONFIG', '--resume'], 1, 'no checkpoint to resume from'),
        (['CONFIG', '--resume', 'nothing.pth'], 1, 'nothing.pth: no such checkpoint'),
        (['CONFIG', '--load-from', 'nothing.pth'], 1, 'nothing.pth: no such checkpoint'),
        (['CONFIG', '--from-scratch'], 1, 'no such annotation file; tools/prepare_sartorius.py'),
    ],
)
def test_training_refuses(
    words: list[str], code: int, message: str, repo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = str(repo_root / 'configs' / 'sartorius' / 'mrcnn_r50.py')
    words = [config if word == 'CONFIG' else word for word in words]
    folders = ['--data-root', str(tmp_path), '--annotations', str(tmp_path), '--work-dir', str(tmp_path / 'run')]
    assert call(repo_root, 'train.py', '--small', *folders, *words) == code
    assert message in capsys.readouterr().err


def test_prediction_refuses_a_broken_checkpoint(repo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / 'broken.pth').write_bytes(b'not a checkpoint')
    config = str(repo_root / 'configs' / 'sartorius' / 'mrcnn_r50.py')
    assert call(repo_root, 'test.py', config, str(tmp_path / 'broken.pth'), '--out', str(tmp_path / 'p.npz')) == 1
    assert 'broken.pth: cannot be read as a checkpoint' in capsys.readouterr().err
    assert not (tmp_path / 'p.npz').exists()


@pytest.mark.parametrize(
    ('tool', 'words'),
    [
        ('train.py', ['CONFIG', '--small', '--resume', 'FORGED']),
        ('train.py', ['CONFIG', '--small', '--load-from', 'FORGED']),
        ('train.py', ['CONFIG', '--small', '--cfg-options', 'load_from=FORGED']),
        ('test.py', ['CONFIG', 'FORGED']),
        ('publish_model.py', ['FORGED', '--out', 'OUT']),
        ('analysis/model_card.py', ['FORGED']),
    ],
)
def test_every_tool_refuses_a_checkpoint_that_would_run_code(
    tool: str,
    words: list[str],
    repo_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    # There are no data to check.
    monkeypatch.setattr(training, 'check_before_training', lambda *arguments: None)
    marker, forged = tmp_path / 'ran', tmp_path / 'forged.pth'
    forge(forged, hostile_parts(marker)['getattr to exec'])
    config = str(repo_root / 'configs' / 'sartorius' / 'mrcnn_r50.py')
    given = {'CONFIG': config, 'FORGED': str(forged), 'OUT': str(tmp_path)}
    words = [given.get(word, word.replace('FORGED', str(forged))) for word in words]
    if tool == 'train.py':
        words += ['--work-dir', str(tmp_path / 'run')]
    assert call(repo_root, tool, *words) == 1
    assert 'forged.pth: cannot be read as a checkpoint' in capsys.readouterr().err
    assert not marker.exists()
