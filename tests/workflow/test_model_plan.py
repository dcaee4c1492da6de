"""A model that is published: what its stages are without real images and with them."""

from pathlib import Path

import pytest

from sartorius.utils.errors import UsageError
from sartorius.workflow.facts import RecipeFacts
from sartorius.workflow.model_plan import ModelWorkflow, make_model_plan
from sartorius.workflow.settings import read_workflow


def read_facts(config: Path, cfg_options: object, small: bool) -> RecipeFacts:
    return RecipeFacts(iterations=4000, sha256=config.stem)


def test_without_real_images_a_model_is_trained_and_published(repo_root: Path, tmp_path: Path) -> None:
    workflow = read_workflow(repo_root / 'configs/workflows/shipped.yaml', iterations=None)
    train, publish = make_model_plan(workflow, None, tmp_path, read_facts)
    assert (train.name, train.amount, train.facts) == ('cells_r18', '4000 iterations', {'config': 'cells_r18'})
    assert '--data-root' not in train.words
    assert publish.inputs == train.outputs == (str(tmp_path / 'run/iter_4000.pth'),)


def test_real_images_are_prepared_first_and_a_new_one_is_noticed(repo_root: Path, tmp_path: Path) -> None:
    workflow = read_workflow(repo_root / 'configs/workflows/shipped.yaml', iterations=30)
    with pytest.raises(UsageError, match='holds no image'):
        make_model_plan(workflow, tmp_path, tmp_path / 'out', read_facts)
    (tmp_path / 'set1').mkdir()
    (tmp_path / 'set1/raw.tif').write_bytes(b'x')
    prepare, train, _ = make_model_plan(workflow, tmp_path, tmp_path / 'out', read_facts)
    assert train.inputs == prepare.outputs and train.name == 'cells_r18_mixed'
    assert train.words[train.words.index('--data-root') + 1] == str(tmp_path)
    assert prepare.words[prepare.words.index('--licence') + 1] == 'MIT'
    (tmp_path / 'set1/raw2.tif').write_bytes(b'x')
    assert next(iter(make_model_plan(workflow, tmp_path, tmp_path / 'out', read_facts))).facts != prepare.facts


def test_real_images_of_which_a_file_says_nothing_are_refused(tmp_path: Path) -> None:
    workflow = ModelWorkflow(publish='mine', config='configs/shipped/cells_r18.py')
    with pytest.raises(UsageError, match='takes no real images'):
        make_model_plan(workflow, tmp_path, tmp_path / 'out', read_facts)
