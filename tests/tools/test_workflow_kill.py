"""tools/workflow.py: what it plans, shows and refuses; and that no kill changes the end."""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sartorius.workflow.stages import load_plan

psutil = pytest.importorskip('psutil', reason='comes with Snakemake, which has no release for this Python')

WORKFLOW = """\
recipes: [configs/sartorius/mrcnn_r50.py]
small: true
folds: 2
iterations: 3
from_scratch: true
validation: false
cfg_options: [default_hooks.checkpoint.interval=1, train_dataloader.batch_size=1]
predict_cfg_options: [model.test_cfg.rcnn.score_thr=0.0, model.test_cfg.rcnn.max_per_img=20]
postprocess: {chain}
"""
# A model of three iterations is sure of nothing: with the usual thresholds no cell would reach the submission.
CHAIN = """postprocess = [
    dict(type='VoteClass'),
    dict(type='ScoreThreshold', threshold=0.0),
    dict(type='MaskThreshold', threshold=0.5),
    dict(type='RemoveOverlap'),
    dict(type='MinArea', min_area=0),
]
"""
KILLS = 5
SECONDS_TO_DIE = 30


@pytest.fixture(scope='module')
def place(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., str]) -> Path:
    """Folder with small synthetic data and a workflow file."""
    folder = tmp_path_factory.mktemp('workflow')
    run(
        'tools/data/make_synthetic.py', '--out', str(folder / 'data'), '--images', '8', '--test-images', '2',
        '--unlabelled-images', '0', '--size', '176x130', '--seed', '1',
    )  # fmt: skip
    (folder / 'chain.py').write_text(CHAIN)
    (folder / 'tiny.yaml').write_text(WORKFLOW.format(chain=folder / 'chain.py'))
    return folder


@pytest.fixture(scope='module')
def undisturbed(place: Path, repo_root: Path) -> tuple[Path, float]:
    """A workflow that was left alone, and the seconds that it took."""
    began = time.monotonic()
    finish(start(place, repo_root, 'undisturbed'))
    return place / 'undisturbed', time.monotonic() - began


def words(place: Path, out: str, *more: str) -> list[str]:
    return ['tools/workflow.py', str(place / 'tiny.yaml'), '--data-root', str(place / 'data'), '--out', out, *more]


@pytest.mark.slow
def test_dry_run_shows_every_stage_and_writes_nothing(place: Path, run: Callable[..., str]) -> None:
    out = place / 'dry'
    said = run(*words(place, str(out), '--dry-run'))
    assert f'{out}: 13 stages, 0 of them done' in said
    assert re.search(r'^  training +fold1/mrcnn_r50 +3 iterations$', said, re.MULTILINE)
    assert re.search(r'^  predicting +fold0/mrcnn_r50/test +2 images$', said, re.MULTILINE)
    assert not out.exists()


@pytest.mark.slow
def test_no_kill_changes_the_end(place: Path, undisturbed: tuple[Path, float], repo_root: Path) -> None:
    """Killed five times: the same submission and predictions, and no process left at work."""
    left_alone, whole = undisturbed
    moments = random.Random(8)
    for number in range(KILLS):
        workflow = start(place, repo_root, 'killed')
        try:
            workflow.wait(moments.uniform(0.05, 0.25) * whole)
        except subprocess.TimeoutExpired:
            kill(workflow, everything=number % 2 == 1)
    finish(start(place, repo_root, 'killed'))

    killed = place / 'killed'
    submission = (left_alone / 'submission.csv').read_bytes()
    assert submission.count(b'\n') > 3
    assert (killed / 'submission.csv').read_bytes() == submission
    files = sorted(path.relative_to(left_alone) for path in left_alone.rglob('predictions_*.npz'))
    assert len(files) == 6
    for name in files:
        with np.load(left_alone / name) as expected, np.load(killed / name) as found:
            for array in ('boxes', 'scores', 'labels', 'soft_masks'):
                np.testing.assert_array_equal(found[array], expected[array], err_msg=f'{name}: {array}')
    assert not list(killed.rglob('.new-*')) + [path for path in killed.rglob('*.npz') if path.name.startswith('.')]


def start(place: Path, repo_root: Path, out: str) -> subprocess.Popen:
    """Starts the workflow, two stages at once, its output going to a file."""
    command = [sys.executable, *words(place, str(place / out), '--jobs', '2')]
    with (place / f'{out}.txt').open('a') as output:
        return subprocess.Popen(command, cwd=repo_root, stdout=output, stderr=subprocess.STDOUT)


def finish(workflow: subprocess.Popen) -> None:
    """Waits for the end of a workflow that must succeed."""
    assert workflow.wait() == 0, Path(workflow.args[-3]).with_suffix('.txt').read_text()[-3000:]


def kill(workflow: subprocess.Popen, everything: bool) -> None:
    """Kills a workflow's first process, or all of them at once; none may live on."""
    children = psutil.Process(workflow.pid).children(recursive=True)
    workflow.send_signal(signal.SIGKILL)
    for child in children if everything else ():
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    workflow.wait()
    assert not psutil.wait_procs(children, timeout=SECONDS_TO_DIE)[1]


@pytest.mark.slow
def test_what_did_not_change_is_kept_and_what_did_is_made_again(
    place: Path, undisturbed: tuple[Path, float], run: Callable[..., str]
) -> None:
    out = undisturbed[0]
    trained = {path: path.stat().st_mtime_ns for path in out.glob('fold*/*/iter_3.pth')}
    assert len(trained) == 2
    (out / 'tune' / 'postprocess.json').unlink()
    (place / 'data' / 'train.csv').touch()
    said = run(*words(place, str(out)))
    assert '[13/13]' in said
    done = re.findall(r'^\[\d+/13\] (.*) \(.*: done in', said, re.MULTILINE)
    assert set(done) <= {'tuning', 'writing the submission', 'checking the submission'} and done[0] == 'tuning'
    assert trained == {path: path.stat().st_mtime_ns for path in trained}
    plan = load_plan(out / 'workflow.json')
    assert all(plan.stamp(stage).is_file() for stage in plan)


@pytest.mark.slow
def test_a_failure_spoils_nothing_that_is_done(
    place: Path, undisturbed: tuple[Path, float], run: Callable[..., str]
) -> None:
    """A damaged image, found when the annotations are prepared, and fixed."""
    image = next((place / 'data' / 'train').iterdir())
    content = image.read_bytes()
    image.write_bytes(content[:20])
    said = run(*words(place, str(undisturbed[0])), code=1)
    assert 'error: preparing annotations and folds (annotations) failed; its last lines:' in said
    assert image.name in said
    assert 'All finished stages are kept' in said
    image.write_bytes(content)
    said = run(*words(place, str(undisturbed[0])))
    assert len(re.findall(r'^\[\d+/13\] training .*: kept', said, re.MULTILINE)) == 2
    assert not re.search(r'^\[\d+/13\] training .*: started', said, re.MULTILINE)
