"""tools/workflow.py: what it plans, shows and refuses; and that no kill changes its results."""

import hashlib
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from sartorius.workflow.stages import Stage, WorkflowPlan, load_plan, save_plan

WORKFLOW = """\
recipes: [configs/sartorius/mrcnn_r50.py]
small: true
only_folds: [0]
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
STAGES = 8
KILLS = 5
SECONDS_TO_DIE = 30
SECONDS_TO_WAIT = 600


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
def undisturbed(place: Path, repo_root: Path) -> Path:
    """A workflow that was left alone."""
    finish(start(place, repo_root, 'undisturbed'))
    return place / 'undisturbed'


def words(place: Path, out: str, *more: str) -> list[str]:
    return ['tools/workflow.py', str(place / 'tiny.yaml'), '--data-root', str(place / 'data'), '--out', out, *more]


@pytest.mark.slow
def test_dry_run_shows_every_stage_and_writes_nothing(place: Path, run: Callable[..., str]) -> None:
    out = place / 'dry'
    said = run(*words(place, str(out), '--dry-run'))
    assert f'{out}: {STAGES} stages, 0 of them done' in said
    assert re.search(r'^  training +fold0/mrcnn_r50 +3 iterations$', said, re.MULTILINE)
    assert re.search(r'^  predicting +fold0/mrcnn_r50/test +2 images$', said, re.MULTILINE)
    assert not out.exists()


@pytest.mark.slow
def test_no_kill_changes_the_results(place: Path, undisturbed: Path, repo_root: Path) -> None:
    """Killed in a training after its first checkpoint and in a prediction: the same predictions and submission."""
    killed = place / 'killed'
    training = killed / 'fold0' / 'mrcnn_r50'
    moments = (
        lambda: (training / 'iter_1.pth').is_file(),
        lambda: (killed / 'logs' / 'predict' / 'fold0' / 'mrcnn_r50' / 'val.log').is_file(),
    )
    for number, has_come in enumerate(moments):
        workflow = start(place, repo_root, 'killed')
        wait_for(has_come, workflow)
        kill(workflow, everything=number == 1)
    assert not (killed / 'submission.csv').exists()
    finish(start(place, repo_root, 'killed'))
    assert '--resume' in (killed / 'logs' / 'train' / 'fold0' / 'mrcnn_r50.log').read_text()

    submission = (undisturbed / 'submission.csv').read_bytes()
    assert submission.count(b'\n') > 3
    assert (killed / 'submission.csv').read_bytes() == submission
    files = sorted(path.relative_to(undisturbed) for path in undisturbed.rglob('predictions_*.npz'))
    assert len(files) == 2
    for name in files:
        with np.load(undisturbed / name) as expected, np.load(killed / name) as actual:
            for array in ('boxes', 'scores', 'labels', 'soft_masks'):
                np.testing.assert_array_equal(actual[array], expected[array], err_msg=f'{name}: {array}')
    assert not [*killed.rglob('.partial-*'), *killed.rglob('.pending-*')]


# Stand for the tools: a training of 15 resumable steps, and a stage that reads files and writes one. Each takes a
# moment, so that kills hit it, and writes whole files.
TRAIN = """
import hashlib, sys, time
from pathlib import Path
source, folder = map(Path, sys.argv[1:3])
folder.mkdir(parents=True, exist_ok=True)
last = Path(sys.argv[4]) if sys.argv[3:] else source
for step in range(int(last.stem[5:]) + 1 if sys.argv[3:] else 1, 16):
    time.sleep(0.3)
    new = folder / 'new'
    new.write_text(hashlib.sha256(last.read_bytes()).hexdigest())
    last = new.rename(folder / f'iter_{step}.pth')
"""
READ = """
import hashlib, sys, time
from pathlib import Path
*sources, out = map(Path, sys.argv[1:])
time.sleep(0.3)
new = out.with_name(f'{out.name}.new')
new.write_text(hashlib.sha256(b''.join(path.read_bytes() for path in sources) or b'data').hexdigest())
new.rename(out)
"""
RUN = 'import sys; from sartorius.workflow import runner, stages; runner.run_workflow(stages.load_plan(sys.argv[1]))'


def small_plan(out: Path) -> Path:
    """Two folds of a preparation, training and prediction, joined, two stages at once; returns the saved plan."""
    data, joined = str(out / 'data.txt'), str(out / 'joined.txt')
    stages = [Stage('prepare', 'data', ('-c', READ, data), (), (data,))]
    predictions = []
    for fold in ('fold0', 'fold1'):
        folder, prediction = out / fold, str(out / f'{fold}.txt')
        checkpoint = str(folder / 'iter_15.pth')
        words = ('-c', TRAIN, data, str(folder))
        stages.append(Stage('train', fold, words, (data,), (checkpoint,), work_dir=str(folder)))
        stages.append(Stage('predict', fold, ('-c', READ, checkpoint, prediction), (checkpoint,), (prediction,)))
        predictions.append(prediction)
    stages.append(Stage('join', 'all', ('-c', READ, *predictions, joined), tuple(predictions), (joined,)))
    out.mkdir(parents=True)
    return save_plan(WorkflowPlan(out, Path('/data'), {stage.key: stage for stage in stages}, jobs=2, devices=()))


def expected_hash() -> str:
    """What the small plan writes in the end."""

    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    prediction = sha('data')
    for _ in range(15 + 1):
        prediction = sha(prediction)
    return sha(prediction + prediction)


@pytest.mark.slow
def test_a_workflow_killed_at_random_moments_ends_the_same(tmp_path: Path, repo_root: Path) -> None:
    """Alternately the first process and all processes are killed; none may live on, and no work is done twice."""
    plan, moments = small_plan(tmp_path / 'out'), random.Random(8)

    def start_plan() -> subprocess.Popen:
        with (tmp_path / 'out.txt').open('a') as output:
            words = [sys.executable, '-c', RUN, str(plan)]
            return subprocess.Popen(words, cwd=repo_root, stdout=output, stderr=subprocess.STDOUT)

    def is_at_work(began: float) -> bool:
        # A record may be removed between its listing and the look at it.
        with suppress(FileNotFoundError):
            return any(path.stat().st_mtime > began for path in (tmp_path / 'out' / 'stages').rglob('*.json'))
        return False

    for number in range(KILLS):
        began, workflow = time.time(), start_plan()
        wait_for(lambda began=began: is_at_work(began), workflow)
        time.sleep(moments.uniform(0, 1))
        kill(workflow, everything=number % 2 == 1)
    assert not (tmp_path / 'out' / 'joined.txt').exists(), 'the kills came too late'
    workflow = start_plan()
    assert workflow.wait() == 0, (tmp_path / 'out.txt').read_text()[-3000:]
    assert (tmp_path / 'out' / 'joined.txt').read_text() == expected_hash()


def start(place: Path, repo_root: Path, out: str) -> subprocess.Popen:
    """Starts the workflow, two stages at once, its output going to a file."""
    command = [sys.executable, *words(place, str(place / out), '--jobs', '2')]
    with (place / f'{out}.txt').open('a') as output:
        return subprocess.Popen(command, cwd=repo_root, stdout=output, stderr=subprocess.STDOUT)


def finish(workflow: subprocess.Popen) -> None:
    """Waits for the end of a workflow that must succeed."""
    assert workflow.wait() == 0, Path(workflow.args[-3]).with_suffix('.txt').read_text()[-3000:]


def wait_for(has_come: Callable[[], bool], workflow: subprocess.Popen) -> None:
    """Waits for a moment of a workflow that must not end before."""
    until = time.monotonic() + SECONDS_TO_WAIT
    while not has_come():
        assert workflow.poll() is None and time.monotonic() < until, 'the moment has not come'
        time.sleep(0.05)


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
    place: Path, undisturbed: Path, run: Callable[..., str]
) -> None:
    out = undisturbed
    trained = {path: path.stat().st_mtime_ns for path in out.glob('fold*/*/iter_3.pth')}
    assert len(trained) == 1
    (out / 'tune' / 'postprocess.json').unlink()
    (place / 'data' / 'train.csv').touch()
    said = run(*words(place, str(out)))
    assert f'[{STAGES}/{STAGES}]' in said
    done = re.findall(rf'^\[\d+/{STAGES}\] (.*) \(.*: done in', said, re.MULTILINE)
    assert set(done) <= {'tuning', 'writing the submission', 'checking the submission'} and done[0] == 'tuning'
    assert trained == {path: path.stat().st_mtime_ns for path in trained}
    plan = load_plan(out / 'workflow.json')
    assert all(plan.stamp(stage).is_file() for stage in plan)


@pytest.mark.slow
def test_a_failure_spoils_nothing_that_is_done(place: Path, undisturbed: Path, run: Callable[..., str]) -> None:
    """A damaged image, found when the annotations are prepared, and fixed."""
    image = next((place / 'data' / 'train').iterdir())
    content = image.read_bytes()
    image.write_bytes(content[:20])
    said = run(*words(place, str(undisturbed)), code=1)
    assert 'error: preparing annotations and folds (annotations) failed; its last lines:' in said
    assert image.name in said
    assert 'All finished stages are kept' in said
    image.write_bytes(content)
    said = run(*words(place, str(undisturbed)))
    assert len(re.findall(rf'^\[\d+/{STAGES}\] training .*: kept', said, re.MULTILINE)) == 1
    assert not re.search(rf'^\[\d+/{STAGES}\] training .*: started', said, re.MULTILINE)
