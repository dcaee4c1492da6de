"""tools/analysis/print_config.py prints a config file that says what runs."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from sartorius.engine.run_config import DataOptions, RecipeOptions, TrainOptions, build_train_config
from sartorius.utils.paths import CONFIG_DIR

RECIPE = CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py'


@pytest.fixture
def printed(repo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Config]:
    """The printed config, read back."""
    main = runpy.run_path(str(repo_root / 'tools' / 'analysis' / 'print_config.py'))['main']

    def run(*words: object) -> Config:
        main([str(word) for word in words])
        path = tmp_path / 'printed.py'
        path.write_text(capsys.readouterr().out)
        return Config.fromfile(path)

    return run


@pytest.mark.parametrize('small', [False, True])
def test_the_printed_file_loads_back_equal(printed: Callable[..., Config], tmp_path: Path, small: bool) -> None:
    words = [RECIPE, '--data-root', tmp_path, '--annotations', tmp_path / 'a', '--fold', 2]
    config = printed(
        *words, '--seed', 7, '--iterations', 9, *['--small'] * small, '--cfg-options', 'default_hooks.logger.interval=3'
    )
    recipe = RecipeOptions(RECIPE, small, ('default_hooks.logger.interval=3',))
    data, train = DataOptions(tmp_path, tmp_path / 'a', 2), TrainOptions(seed=7, iterations=9)
    assert config.to_dict() == build_train_config(recipe, data, train).to_dict()
    assert config.train_dataloader.dataset.dataset.ann_file == str(tmp_path / 'a' / 'fold2_train.json')
    assert config.val_evaluator.classes == ['shsy5y', 'astro', 'cort']
    assert (config.train_dataloader.dataset.seed, config.train_cfg.max_iters) == (7, 9)


def test_a_split_prints_what_is_predicted(printed: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / 'unlabelled.json').write_text('{}')
    config = printed(RECIPE, '--annotations', tmp_path, '--split', 'unlabelled')
    assert config.test_dataloader.dataset.ann_file == str(tmp_path / 'unlabelled.json')
