"""The command line of tools/ensemble.py."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from sartorius.fusion import METHODS
from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.provenance import FusedSource, ModelSource
from sartorius.predictions.store import load_predictions, read_header, save_predictions
from sartorius.utils.errors import InputError, UsageError

# Cells of two models that find three cells in each of two images.
CELLS = {'wbf': 6, 'nms': 6, 'soft-nms': 12, 'nmw': 6, 'consensus': 6}


@pytest.fixture(scope='module')
def tool(repo_root):
    """The tool as a module."""
    spec = importlib.util.spec_from_file_location('ensemble_tool', repo_root / 'tools/ensemble.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put(path, seed=0, images='ab', classes=('shsy5y', 'astro', 'cort'), config='mrcnn.py'):
    """Predictions of the same three cells, a little moved for each seed."""
    rng = np.random.default_rng(seed)
    corners = np.array([[5, 5], [30, 20], [55, 39]]) + rng.uniform(-1, 1, (3, 2))
    found = tuple(
        ImagePredictions(
            image_id=name,
            size=(64, 80),
            boxes=np.concatenate([corners, corners + 24], axis=1).astype(np.float32),
            scores=rng.uniform(0.5, 1, 3).astype(np.float32),
            labels=np.array([0, 1, 2]),
            soft_masks=np.ones((3, 7, 7), np.float32),
        )
        for name in images
    )
    save_predictions(path, PredictionSet(found, classes, ModelSource(config=config)))
    return path


@pytest.mark.parametrize('method', METHODS)
def test_two_models_are_fused_and_the_next_command_is_said(tool, tmp_path, capsys, method):
    first, second = put(tmp_path / '1.npz', 1), put(tmp_path / '2.npz', 2, config='cascade.py')
    out = tmp_path / 'deep/fused.npz'
    tool.main([str(first), str(second), '--method', method, '--weights', '1', '2', '--out', str(out)])
    fused = load_predictions(out)
    cells = sum(map(len, fused.images))
    assert method not in CELLS or cells == CELLS[method]
    assert isinstance(fused.source, FusedSource) and fused.source.method == method
    assert [member.name for member in fused.source.members] == [str(first), str(second)]
    assert [member.weight for member in fused.source.members] == [1, 2]
    assert fused.source.members[1].source.config == 'cascade.py'
    printed = capsys.readouterr().out
    assert 'cascade.py  2       6' in printed and f'2 images, {cells} cells' in printed
    assert 'dropped:' not in printed or method not in CELLS
    assert printed.splitlines()[-1] == f'next: python tools/make_submission.py {out}'


@pytest.mark.parametrize('method', METHODS)
def test_the_order_of_the_files_makes_no_difference(tool, tmp_path, method):
    paths = [str(put(tmp_path / f'{n}.npz', n)) for n in range(3)]
    tool.main([*paths, '--method', method, '--out', str(tmp_path / 'one.npz')])
    tool.main([*paths[::-1], '--method', method, '--out', str(tmp_path / 'other.npz')])
    assert (tmp_path / 'one.npz').read_bytes() == (tmp_path / 'other.npz').read_bytes()


def damaged(path):
    path.write_bytes(put(path).read_bytes()[:-40])
    return path


@pytest.mark.parametrize(
    ('files', 'options', 'error', 'message'),
    [
        ({'1': {}, '2': {}}, ['--weights', '1'], UsageError, '1 weights for 2 files'),
        ({'1': {}, '2': {}}, ['--weights', '1', '0'], InputError, 'weight 0 is not above 0'),
        ({'1': {}, '2': {}}, ['--weights', '1', '-1'], InputError, 'weight -1 is not above 0'),
        ({'1': {}, '2': {}}, ['--weights', '1', 'nan'], InputError, 'weight nan is not above 0'),
        ({'1': {}, '2': {}}, ['--iou', '1.5'], InputError, 'iou_threshold is 1.5'),
        ({'1': {}, '2': {}}, ['--score', '2'], InputError, 'score threshold is 2'),
        ({'1': {}, '2': {'images': 'cd'}}, [], InputError, r'1\.npz has no image c and 1 more'),
        ({'1': {}, '2': {'images': 'a'}}, [], InputError, r'2\.npz has no image b,'),
        ({'1': {}, '2': {'classes': ('x', 'y', 'z')}}, [], InputError, r'2\.npz has the classes x, y, z'),
    ],
)
def test_what_cannot_be_fused_is_refused_and_nothing_written(tool, tmp_path, files, options, error, message):
    paths = [str(put(tmp_path / f'{name}.npz', **content)) for name, content in files.items()]
    with pytest.raises(error, match=message):
        tool.main([*paths, *options, '--out', str(tmp_path / 'out.npz')])
    assert not (tmp_path / 'out.npz').exists()


def test_files_named_badly_are_refused(tool, tmp_path):
    sound, broken = put(tmp_path / 'sound.npz'), damaged(tmp_path / 'broken.npz')
    with pytest.raises(InputError, match=r'broken\.npz: truncated, damaged'):
        tool.main([str(sound), str(broken), '--out', str(tmp_path / 'out.npz')])
    with pytest.raises(UsageError, match=r'sound\.npz is given twice'):
        tool.main([str(sound), str(tmp_path / 'x/../sound.npz'), '--out', str(tmp_path / 'out.npz')])
    with pytest.raises(UsageError, match='is one of the files to fuse'):
        tool.main([str(sound), '--out', str(sound)])
    with pytest.raises(UsageError, match=r'out\.json: a predictions file must end in \.npz'):
        tool.main([str(sound), '--out', str(tmp_path / 'out.json')])
    with pytest.raises(FileNotFoundError):
        tool.main([str(sound), str(tmp_path / 'missing.npz'), '--out', str(tmp_path / 'out.npz')])
    put(tmp_path / 'copy.npz')
    with pytest.raises(InputError, match=r'sound\.npz and .*copy\.npz hold the same predictions'):
        tool.main([str(tmp_path / 'copy.npz'), str(sound), '--out', str(tmp_path / 'out.npz')])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--average-masks'], '--average-masks has no meaning with wbf; leave it out (it is for nms)'),
        (['--method', 'soft-nms', '--iou', '0.5'], '--iou has no meaning with soft-nms'),
        (['--method', 'specialists', '--iou', '0.5'], '--iou has no meaning with specialists'),
        (['--method', 'specialists', '--weights', '1'], '--weights has no meaning with specialists'),
        (['--config', 'x.py', '--method', 'nms'], '--method and --config: write it into x.py'),
        (['--config', 'x.py', '--class-agnostic'], '--class-agnostic and --config: write it into x.py'),
    ],
)
def test_options_that_do_not_go_together_are_refused(tool, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as stopped:
        tool.main([str(put(tmp_path / '1.npz')), *options])
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_a_config_says_how_and_with_what_weights(tool, tmp_path):
    paths = [put(tmp_path / f'{n}.npz', n) for n in range(2)]
    config = tmp_path / 'fusion.py'
    config.write_text(
        "fusion = dict(method=dict(type='nmw', iou_threshold=0.4), score_threshold=0.2, members=[\n"
        f"    dict(predictions='{paths[0]}', weight=3),\n"
        f"    dict(predictions='{paths[1]}', score_threshold=dict(astro=0.3)),\n"
        '])\n',
        encoding='utf-8',
    )
    tool.main(['--config', str(config), '--out', str(tmp_path / 'one.npz')])
    source = read_header(tmp_path / 'one.npz').source
    assert (source.method, source.settings['iou_threshold']) == ('nmw', 0.4)
    assert [(m.weight, m.score_threshold) for m in source.members] == [(3, 0.2), (1, {'astro': 0.3})]
    # Files that are named take the members' places, in their order.
    others = [str(put(tmp_path / f'{n}.npz', n)) for n in (3, 2)]
    tool.main(['--config', str(config), *others, '--out', str(tmp_path / 'other.npz')])
    members = read_header(tmp_path / 'other.npz').source.members
    assert [(m.name, m.weight) for m in members] == [(others[1], 1), (others[0], 3)]
    with pytest.raises(UsageError, match='1 files for the 2 members of the config'):
        tool.main(['--config', str(config), others[0]])


def test_boxes_of_another_detector_join(tool, tmp_path, capsys):
    model = put(tmp_path / 'model.npz', 1)
    annotations, results = tmp_path / 'annotations.json', tmp_path / 'yolo.json'
    images = [{'id': n, 'file_name': f'test/{name}.png', 'height': 64, 'width': 80} for n, name in enumerate('ab')]
    categories = [{'id': n + 1, 'name': name} for n, name in enumerate(('shsy5y', 'astro', 'cort'))]
    annotations.write_text(json.dumps({'images': images, 'categories': categories}), encoding='utf-8')
    # As YOLO writes them: the file name's stem for the image.
    found = [
        {'image_id': 'a', 'category_id': 1, 'bbox': [5, 5, 24, 24], 'score': 0.9},
        {'image_id': 'b', 'category_id': 3, 'bbox': [1, 40, 20, 20], 'score': 0.8},
        {'image_id': 'b', 'category_id': 3, 'bbox': [1, 40, 20, 20], 'score': 0.05},
    ]
    results.write_text(json.dumps(found), encoding='utf-8')
    files = [str(model), str(results)]
    with pytest.raises(UsageError, match=r'yolo\.json: COCO results; name the JSON'):
        tool.main(files)
    tool.main([*files, '--annotations', str(annotations), '--out', str(tmp_path / 'masks.npz')])
    assert [len(image) for image in load_predictions(tmp_path / 'masks.npz').images] == [3, 3]
    printed = capsys.readouterr().out
    assert 'dropped: 1 fused boxes without a mask from any model' in printed
    assert 'dropped: 1 cells under the score threshold' in printed
    tool.main([*files, '--annotations', str(annotations), '--boxes-only', '--out', str(tmp_path / 'boxes.npz')])
    boxes = load_predictions(tmp_path / 'boxes.npz', boxes_allowed=True)
    assert [len(image) for image in boxes.images] == [3, 4]
    printed = capsys.readouterr().out
    assert printed.endswith(f'next: python tools/test.py CONFIG CHECKPOINT --boxes {tmp_path}/boxes.npz\n')


@pytest.fixture
def checkout(tmp_path, repo_root):
    """A copy of what the command needs, with an empty work_dirs/."""
    top = tmp_path / 'checkout'
    for package in ('utils', 'masks', 'images', 'predictions', 'fusion'):
        shutil.copytree(
            repo_root / 'sartorius' / package,
            top / 'sartorius' / package,
            ignore=shutil.ignore_patterns('__pycache__'),
        )
    shutil.copy(repo_root / 'sartorius/__init__.py', top / 'sartorius/__init__.py')
    (top / 'tools').mkdir()
    (top / 'setup.py').touch()
    shutil.copy(repo_root / 'tools/ensemble.py', top / 'tools/ensemble.py')
    (top / 'work_dirs').mkdir()
    return top


def run_bare(checkout, folder):
    environment = os.environ | {'PYTHONPATH': str(checkout)}
    command = [sys.executable, str(checkout / 'tools/ensemble.py')]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_bare_it_fuses_what_covers_the_images_of_the_newest_file(checkout, tmp_path):
    work_dirs = checkout / 'work_dirs'
    elsewhere = put(work_dirs / 'fold1/predictions_val.npz', images='xy')
    os.utime(elsewhere, (1, 1))
    put(work_dirs / 'mrcnn/predictions_test.npz', 1)
    put(work_dirs / 'cascade/predictions_test.npz', 2)
    done = run_bare(checkout, tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'fold1/predictions_val.npz: covers other images (0 of its 2 are among the 2 fused)' in done.stdout
    out = work_dirs / 'ensemble/predictions.npz'
    assert read_header(out).is_fused and len(read_header(out).source.members) == 2
    # Its own result is not fused again.
    again = run_bare(checkout, work_dirs)
    assert again.returncode == 0 and 'ensemble/predictions.npz: is the result of a fusion' in again.stdout
    assert len(read_header(out).source.members) == 2


def test_bare_with_nothing_there_it_exits_2_and_names_the_command(checkout, tmp_path):
    done = run_bare(checkout, tmp_path)
    assert done.returncode == 2 and done.stdout == ''
    assert done.stderr.startswith('error: no model predictions under ') and done.stderr.count('\n') == 1
    assert 'python tools/test.py CONFIG CHECKPOINT' in done.stderr
    assert list((checkout / 'work_dirs').iterdir()) == []
