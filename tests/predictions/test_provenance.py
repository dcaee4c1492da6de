"""Typed records of where predictions come from: the exact round trip through JSON, and all models behind a source."""

import json
from pathlib import Path

import pytest

from sartorius.predictions.provenance import (
    BoxSource,
    ConcatenatedSource,
    DataRecord,
    FirstWeights,
    ForeignSource,
    FusedSource,
    Member,
    ModelSource,
    RunData,
    RunRecord,
    iter_models,
    read_run,
    source_from_dict,
    write_run,
)
from sartorius.utils.errors import InputError
from sartorius.utils.version import GitCommit

PRE_TRAINED = RunRecord(recipe='mrcnn_r50_livecell', weights=FirstWeights(url='https://x.org/coco.pth', sha256='e'))
RUN = RunRecord(
    recipe='mrcnn_r50',
    config='configs/sartorius/mrcnn_r50.py',
    config_sha256='c' * 64,
    git_commit=GitCommit('a' * 40, dirty=True),
    commands=('python tools/train.py c.py', 'python tools/train.py c.py --resume'),
    fold=0,
    seed=0,
    data=RunData(
        train=DataRecord(file='d/fold0_train.json', sha256='t', images=4, cells=9, split='train', fold=0),
        val=DataRecord(file='d/fold0_val.json', sha256='v', images=0, cells=0, origin='Sartorius', split='val', fold=0),
    ),
    weights=FirstWeights(file='livecell/iter_9.pth', sha256='w', run=PRE_TRAINED),
    precision='amp',
    iterations=8000,
    iterations_done=0,
    batch_size=4,
    processes=2,
    device='CPU',
    minutes=0.0,
    validation_minutes=1.5,
    finished=False,
    versions={'torch': '2.13.0'},
)
MODEL = ModelSource(
    config='c.py',
    checkpoint='work/iter_8000.pth',
    checkpoint_sha256='s',
    git_commit=GitCommit('b' * 40, dirty=False),
    split='val',
    annotations='d/fold0_val.json',
    annotations_sha256='v',
    fold=0,
    tta=True,
    tta_orientations=('none', 'rot90'),
    tta_scales=([704, 520], 2.0),
    tiles={'size': [90, 120], 'margin': 20, 'scale': 2.0},
    boxes=BoxSource(file='b.npz', sha256='x', source=ModelSource(config='rtmdet.py')),
    boxes_only=False,
    cell_types=('cort',),
    processes=1,
    versions={'torch': '2.13.0'},
    run=RUN,
)
FUSED = FusedSource(
    method='wbf',
    settings={'iou_threshold': 0.5, 'class_agnostic': False},
    members=(
        Member(name='a.npz', source=MODEL, weight=1.0, score_threshold={'cort': 0.2}, cell_types=('cort',)),
        Member(name='b.json', source=ForeignSource(kind='coco_results', file='b.json', sha256='y', dataset='d.json')),
    ),
    dropped={'low_score': 0},
    git_commit=GitCommit('b' * 40, dirty=False),
)
CONCATENATED = ConcatenatedSource(
    members=(Member(name='f', images=3, source=FUSED), Member(name='n', images=0, source=ForeignSource()))
)


@pytest.mark.parametrize('source', [MODEL, FUSED, CONCATENATED, ForeignSource(), ModelSource()])
def test_sources_survive_json(source) -> None:
    text = json.dumps(source.to_dict())
    back = source_from_dict(json.loads(text), 'p.npz: source')
    assert back == source and type(back) is type(source)
    assert json.dumps(back.to_dict()) == text


def test_what_is_not_known_is_not_written() -> None:
    assert ForeignSource().to_dict() == {}
    assert ModelSource().to_dict() == {'kind': 'model', 'tta': False, 'boxes_only': False}
    record = RunRecord(fold=0, minutes=0.0)
    assert record.to_dict() == {'small': False, 'fold': 0, 'minutes': 0.0, 'finished': False}


@pytest.mark.parametrize(
    'values',
    [
        {'kind': 'model', 'tta': False, 'boxes_only': False, 'later': {'key': [1, None]}},
        {'kind': 'made_by_hand', 'folds': [0, 1]},
        {'config': 'c.py'},
    ],
)
def test_entries_that_are_not_known_are_kept(values: dict) -> None:
    assert source_from_dict(values, 'p.npz').to_dict() == values


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ('model', "p.npz is 'model', expected a JSON object"),
        ({'kind': 'model', 'run': 'fold 0'}, "p.npz: run is 'fold 0', expected a JSON object"),
        ({'kind': 'model', 'run': {'fold': '0'}}, "p.npz: run: fold is '0', expected a whole number from 0"),
        ({'kind': 'model', 'run': {'fold': -1}}, 'run: fold is -1'),
        ({'kind': 'model', 'run': {'fold': True}}, 'run: fold is True'),
        ({'kind': 'model', 'run': {'fold': 0.0}}, 'run: fold is 0.0'),
        ({'kind': 'model', 'run': {'minutes': '1'}}, "minutes is '1', expected a number"),
        ({'kind': 'model', 'run': {'commands': 'python'}}, "commands is 'python', expected a list"),
        ({'kind': 'model', 'run': {'git_commit': {'sha': 'a'}}}, 'git_commit is .* an object of sha, dirty'),
        ({'kind': 'model', 'tta': 1}, 'tta is 1, expected true or false'),
        ({'kind': 'model', 'cell_types': [1]}, 'cell_types, item 1 is 1, expected text'),
        ({'kind': 'model', 'boxes': 'b.json'}, "boxes is 'b.json', expected a JSON object"),
        ({'kind': 'fused', 'method': 'wbf'}, 'p.npz has no members'),
        ({'kind': 'fused', 'members': [{'name': 'x', 'source': {}}]}, 'p.npz has no method'),
        ({'kind': 'fused', 'method': 'wbf', 'members': []}, 'p.npz: the source of fused predictions names no members'),
        ({'kind': 'fused', 'members': [{'name': 'x'}]}, 'members, item 1 has no source'),
        ({'kind': 'fused', 'members': ['x']}, "members, item 1 is 'x', expected a JSON object"),
        ({'kind': 'concatenated'}, 'p.npz has no members'),
    ],
)
def test_damaged_sources_are_named(values: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        source_from_dict(values, 'p.npz')


def test_all_models_behind_a_source_are_named() -> None:
    assert [(name, model.config) for name, model in iter_models(CONCATENATED, 'all')] == [
        ('all, member f, member a.npz', 'c.py'),
        ('all, member f, member a.npz, boxes b.npz', 'rtmdet.py'),
        ('all, member f, member b.json', None),
        ('all, member n', None),
    ]
    # COCO results do not say what found the boxes: a model of which nothing is known.
    boxes = ModelSource(config='c.py', boxes=BoxSource(file='b.json'))
    assert list(iter_models(boxes, 'm')) == [('m', boxes), ('m, boxes b.json', ModelSource())]


@pytest.mark.parametrize(
    ('model', 'recipe', 'iterations'),
    [
        (MODEL, 'mrcnn_r50', 0),
        (ModelSource(config='configs/own/htc.py', checkpoint='w/iter_30.pth'), 'htc', 30),
        (ModelSource(checkpoint='w/best_competition_mAP_iter_20.pth'), None, 20),
        (ModelSource(), None, None),
    ],
)
def test_recipe_and_iterations(model: ModelSource, recipe: str | None, iterations: int | None) -> None:
    assert (model.recipe, model.iterations) == (recipe, iterations)


def test_only_validation_images_have_a_fold_to_be_held_out_from() -> None:
    assert MODEL.val_fold == 0
    assert ModelSource(split='train', fold=0).val_fold is ModelSource(split='val').val_fold is None


def test_lineage_of_a_run() -> None:
    assert [run.recipe for run in RUN.lineage()] == ['mrcnn_r50', 'mrcnn_r50_livecell']
    assert [weights.sha256 for weights in RUN.all_weights()] == ['w', 'e']
    assert list(RunRecord().lineage()) == [RunRecord()] and list(RunRecord().all_weights()) == []


def test_run_file(tmp_path: Path) -> None:
    assert read_run(tmp_path) is None
    path = write_run(tmp_path, RUN)
    assert path.name == 'run.json' and json.loads(path.read_text())['schema'] == 'sartorius-run'
    assert read_run(tmp_path) == RUN


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"schema": ', 'run.json: not JSON'),
        ('[]', 'not the record of a training run'),
        ('{"schema": "other"}', 'not the record of a training run'),
        ('{"schema": "sartorius-run", "version": 2}', 'version 2, this code reads 1'),
        ('{"schema": "sartorius-run", "version": 1, "recipe": "r"}', "'config_sha256' is missing"),
    ],
)
def test_unreadable_run_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / 'run.json').write_text(text)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path)


def test_damaged_run_file_names_the_key(tmp_path: Path) -> None:
    content = json.loads(write_run(tmp_path, RUN).read_text())
    (tmp_path / 'run.json').write_text(json.dumps({**content, 'fold': 'one'}))
    with pytest.raises(InputError, match="run.json: fold is 'one', expected a whole number from 0"):
        read_run(tmp_path)
