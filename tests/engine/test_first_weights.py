"""Runs that start from another run's weights: which checkpoint that is, and what does not fit."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from sartorius.engine import config as engine_config
from sartorius.engine.config import default_work_dir, load_config
from sartorius.engine.first_weights import first_run_checkpoint, last_checkpoint
from sartorius.models.checkpoints import check_first_weights
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CHECKOUT, CONFIG_DIR

FIRST = 'configs/livecell/mrcnn_r50.py'
STARTING = [path for path in CONFIG_DIR.glob('*/*.py') if 'init_from' in path.read_text(encoding='utf-8')]


@pytest.fixture
def work_dirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine_config, 'WORK_DIRS', tmp_path / 'work_dirs')
    return tmp_path / 'work_dirs'


def add_run(folder: Path, checkpoint: str = 'iter_20.pth', said: str | None = None) -> Path:
    """A run's folder as MMEngine leaves it; ``said`` is what its note names."""
    folder.mkdir(parents=True)
    torch.save({'state_dict': {}}, folder / checkpoint)
    (folder / 'last_checkpoint').write_text(said or str(folder / checkpoint))
    return folder / checkpoint


def starting(**values: object) -> Config:
    return Config(dict(init_from=dict(config=FIRST, **values)))


def test_the_last_checkpoint_is_the_newest_that_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / 'run'
    assert last_checkpoint(run) is None
    kept = add_run(run, 'iter_9.pth')
    (run / 'iter_10.pth').write_bytes(kept.read_bytes()[:-100])
    (run / 'iter_11.pth').touch()
    assert last_checkpoint(run) == kept
    said = capsys.readouterr().err
    assert 'iter_11.pth is passed over, it is empty\n' in said
    assert 'iter_10.pth is passed over, it is cut short or damaged' in said


def test_a_moved_run_is_found_where_it_lies_now(tmp_path: Path) -> None:
    moved = add_run(tmp_path / 'run', said='/elsewhere/run/iter_20.pth')
    assert last_checkpoint(tmp_path / 'run') == moved


def test_a_config_without_a_first_run_starts_from_none() -> None:
    assert first_run_checkpoint(Config(dict(load_from=None)), 'x.py', 0) is None


@pytest.mark.parametrize(
    ('same_fold', 'fold', 'folder'),
    [
        pytest.param(False, None, 'livecell_mrcnn_r50', id='one run for all folds, no fold asked'),
        pytest.param(False, 2, 'livecell_mrcnn_r50', id='one run for all folds'),
        pytest.param(True, 2, 'livecell_mrcnn_r50_fold2', id='a run a fold'),
        pytest.param(True, None, 'livecell_mrcnn_r50', id="the config's own fold"),
    ],
)
def test_the_first_run_is_that_of_the_fold(same_fold: bool, fold: int | None, folder: str, work_dirs: Path) -> None:
    others = {'livecell_mrcnn_r50', 'livecell_mrcnn_r50_fold2', 'livecell_mrcnn_r50_fold1'} - {folder}
    for other in others:
        add_run(work_dirs / other)
    config = starting(same_fold=same_fold)
    with pytest.raises(InputError, match='holds no run'):
        first_run_checkpoint(config, 'x.py', fold)
    made = add_run(work_dirs / folder)
    assert first_run_checkpoint(config, 'x.py', fold) == made


@pytest.mark.parametrize(
    ('same_fold', 'command'),
    [(False, f'"python tools/train.py {FIRST}"'), (True, f'"python tools/train.py {FIRST} --fold 3"')],
)
def test_a_missing_run_names_its_command(same_fold: bool, command: str, work_dirs: Path) -> None:
    with pytest.raises(InputError) as error:
        first_run_checkpoint(starting(same_fold=same_fold), 'x.py', 3)
    assert command in str(error.value)
    assert '--load-from' in str(error.value)


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ('configs/a.py', "init_from: 'configs/a.py' is not a mapping with some of config, same_fold"),
        (dict(same_fold=True), "init_from: the key 'config' is missing"),
        (dict(config=FIRST, same_flod=True), "did you mean 'same_fold'"),
        (dict(config=FIRST, same_fold=1), 'same_fold is 1; give true or false'),
        (dict(config='configs/livecell/nothing.py'), 'init_from: configs/livecell/nothing.py: no such config'),
    ],
)
def test_a_malformed_start_is_refused(value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        first_run_checkpoint(Config(dict(init_from=value)), 'x.py', None)


@pytest.mark.parametrize('path', STARTING, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_every_recipe_starts_from_one_that_is_there(path: Path, work_dirs: Path) -> None:
    config = load_config(path)
    first = CHECKOUT / config.init_from.config
    assert first.resolve() != path
    made = add_run(default_work_dir(first, None))
    assert first_run_checkpoint(config, path.name, None) == made


def test_livecells_run_of_the_same_name_has_a_folder_of_its_own() -> None:
    folders = {
        default_work_dir(CONFIG_DIR / folder / 'mrcnn_r50.py', None).name for folder in ('sartorius', 'livecell')
    }
    assert folders == {'mrcnn_r50', 'livecell_mrcnn_r50'}


def test_layers_of_another_shape_are_named_in_one_line() -> None:
    def model(classes: int) -> torch.nn.Sequential:
        return torch.nn.Sequential(
            torch.nn.Linear(4, 5), torch.nn.Linear(5, classes + 1), torch.nn.Conv2d(5, classes, 1)
        )

    weights = model(8).state_dict()
    said = "2 of the model's 6 tensors; at random, because their shapes differ: 1 (9 to 4), 2 (8 to 3)"
    assert check_first_weights(model(3), weights, 'eight.pth') == said
    assert check_first_weights(model(8), weights, 'eight.pth') == "6 of the model's 6 tensors"
