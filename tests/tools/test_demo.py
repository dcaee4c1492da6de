"""`make demo`, short: every stage runs once, the page is there, and the fusion is judged honestly."""

import runpy
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from sartorius.workflow import settings as workflow_settings
from sartorius.workflow.settings import read_workflow


@pytest.mark.slow
def test_demo_ends_with_a_table_and_a_page(
    repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out, main = tmp_path / 'demo', runpy.run_path(str(repo_root / 'tools' / 'demo.py'))['main']
    # Smaller images and fewer boxes: models of one iteration take everything for a cell.
    monkeypatch.setitem(main.__globals__, 'SIZE', (130, 176))
    few = ('model.test_cfg.rcnn.max_per_img=20',)
    monkeypatch.setattr(workflow_settings, 'read_workflow', partial(read_workflow, predict_cfg_options=few))
    monkeypatch.chdir(repo_root)

    def run() -> str:
        main(['--out', str(out), '--images', '10', '--test-images', '2', '--iterations', '1'])
        return capfd.readouterr().out

    said = run()
    table = said.split('Competition mAP on the test images')[1]
    assert [line.split()[0][:2] for line in table.splitlines()[1:8]] == ['0.'] * 7
    assert (out / 'index.html').stat().st_size > 10_000
    assert said.count(': started') == 13
    submission = (out / 'submission.csv').read_bytes()

    # Typed again: the images are made anew, but nothing else is.
    again = run()
    assert ': started' not in again
    assert again.split('Competition mAP')[1].splitlines()[:8] == said.split('Competition mAP')[1].splitlines()[:8]
    assert (out / 'submission.csv').read_bytes() == submission


@pytest.mark.parametrize(
    ('fused', 'message'),
    [
        (0.5, r'^Fusing scores \+0\.100 against the best single model \(Cascade, tuned\); 95 % interval \+0\.000 to '),
        (0.1, r'^Here fusing scores -0\.100 against .* It is shown because .* --weights'),
    ],
)
def test_a_fusion_that_loses_is_called_so(repo_root: Path, fused: float, message: str) -> None:
    demo = runpy.run_path(str(repo_root / 'tools/demo.py'))

    def table(first: float, second: float) -> pd.DataFrame:
        return pd.DataFrame({'image_id': ['a', 'b'], 'score': [first, second]})

    scores = {
        'threshold': table(0.9, 0.9),
        'Mask, tuned': table(0.1, 0.1),
        'Cascade, tuned': table(0.3, 0.3),
        f'{demo["FUSED"]}, tuned': table(0.3, fused),
    }
    remark = demo['_fusion_remark'](scores, {'a': 'one', 'b': 'two'})
    assert pd.Series([remark]).str.contains(message).all(), remark
    assert 'over 2 groups of images' in remark
