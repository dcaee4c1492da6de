"""A new method is one class and one registration: configs, fusion and command line take it from the registry."""

import importlib.util
from dataclasses import dataclass

import numpy as np
import pytest

from sartorius.fusion import METHODS, fuse
from sartorius.fusion.base import Candidates, Fusion, Method, parameter, register
from sartorius.fusion.recipe import load_recipe
from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.store import load_predictions, save_predictions
from sartorius.utils.errors import InputError


@dataclass(frozen=True)
class BestModel(Method):
    """The cells of the model with the highest mean score, and no others."""

    min_score: float = parameter(0.0, at_least=0, at_most=1)
    keeps_ties: bool = parameter(False)

    def __call__(self, candidates: Candidates) -> Fusion:
        counts = np.bincount(candidates.models, minlength=len(candidates.weights))
        means = np.bincount(candidates.models, candidates.scores, len(candidates.weights)) / np.maximum(counts, 1)
        best = means == means.max() if self.keeps_ties else np.arange(len(means)) == means.argmax()
        kept = np.flatnonzero(best[candidates.models] & (candidates.scores >= self.min_score))
        owners = np.full(len(candidates.scores), -1)
        owners[kept] = np.arange(len(kept))
        return Fusion(candidates.boxes[kept], candidates.scores[kept], candidates.labels[kept], owners, kept)


@pytest.fixture
def toy():
    """The method without an IoU threshold, registered for one test."""
    register('toy')(BestModel)
    yield 'toy'
    del METHODS['toy']


@pytest.fixture(scope='module')
def tool(repo_root):
    spec = importlib.util.spec_from_file_location('ensemble_tool', repo_root / 'tools/ensemble.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put(path, scores):
    count = len(scores)
    corners = np.array([[5, 5], [30, 20], [55, 39]], dtype=np.float32)[:count]
    image = ImagePredictions(
        image_id='a',
        size=(64, 80),
        boxes=np.concatenate([corners, corners + 24], axis=1),
        scores=np.float32(scores),
        labels=np.zeros(count, dtype=np.int64),
        soft_masks=np.ones((count, 7, 7), np.float32),
    )
    save_predictions(path, PredictionSet((image,)))
    return str(path)


def test_the_command_line_fuses_by_it_and_lists_it(toy, tool, tmp_path, capsys):
    files = [put(tmp_path / '1.npz', [0.9, 0.5]), put(tmp_path / '2.npz', [0.8, 0.8, 0.2])]
    tool.main([*files, '--method', toy, '--score', '0', '--out', str(tmp_path / 'out.npz')])
    fused = load_predictions(tmp_path / 'out.npz')
    np.testing.assert_array_equal(fused.images[0].scores, np.float32([0.9, 0.5]))
    assert fused.source.method == toy and fused.source.settings['min_score'] == 0
    assert 'dropped: 3 cells that the method rejected' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        tool.main(['--help'])
    text = ' '.join(capsys.readouterr().out.split())
    assert ',toy' in text.replace(' ', '') and '(wbf 0.7, nms 0.5, nmw 0.5' in text


def test_it_has_no_iou_threshold_and_says_so(toy, tool, tmp_path, capsys):
    path = put(tmp_path / '1.npz', [0.9])
    with pytest.raises(SystemExit):
        tool.main([path, '--method', toy, '--iou', '0.5'])
    assert '--iou has no meaning with toy' in capsys.readouterr().err
    with pytest.raises(InputError, match='fusion method toy takes no IoU threshold'):
        fuse([load_predictions(path)], toy, iou_threshold=0.5)


def test_a_config_makes_it(toy, tool, tmp_path):
    config = tmp_path / 'fusion.py'
    config.write_text("fusion = dict(method=dict(type='toy', min_score=0.6))\n", encoding='utf-8')
    assert load_recipe(config).method == BestModel(0.6)
    files = [put(tmp_path / '1.npz', [0.9, 0.5]), put(tmp_path / '2.npz', [0.6])]
    tool.main(['--config', str(config), *files, '--out', str(tmp_path / 'out.npz')])
    np.testing.assert_array_equal(load_predictions(tmp_path / 'out.npz').images[0].scores, np.float32([0.9]))
    with pytest.raises(InputError, match='min_score is 2; it must be a number at least 0 and at most 1'):
        BestModel(2)
    with pytest.raises(InputError, match='keeps_ties is 1; choose from True, False'):
        BestModel(keeps_ties=1)


def test_what_cannot_be_registered_is_refused():
    @dataclass(frozen=True)
    class Plain(Method):
        iou_threshold: float = 0.5

    with pytest.raises(TypeError, match='Plain.iou_threshold must be made by parameter'):
        register('plain')(Plain)
    with pytest.raises(TypeError, match='must be a dataclass and a subclass of Method'):
        register('object')(object)
    with pytest.raises(ValueError, match="there is a fusion method 'wbf' already"):
        register('wbf')(BestModel)
