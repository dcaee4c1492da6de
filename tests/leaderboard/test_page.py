"""What the page of results does to what it is given to show."""

import pytest

from sartorius.leaderboard.page import minutes_of_stages, portable


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('--data-root /home/me/data/sartorius --fold 0', '--data-root .../data/sartorius --fold 0'),
        ("--cfg-options 'a=/home/me/x/y.pth' --out work_dirs/a/b", "--cfg-options 'a=.../x/y.pth' --out work_dirs/a/b"),
        ('python tools/train.py configs/demo/mrcnn_r18.py', 'python tools/train.py configs/demo/mrcnn_r18.py'),
        ('--load-from https://x.org/a/b/c.pth', '--load-from https://x.org/a/b/c.pth'),
        ('--data-root $SARTORIUS_DATA', '--data-root $SARTORIUS_DATA'),
    ],
)
def test_no_machine_is_recognised_by_its_folders(text: str, shown: str) -> None:
    assert portable(text) == shown


def test_minutes_of_the_runs_that_a_run_starts_from_count() -> None:
    first = {'minutes': 2.0, 'weights': {'url': 'https://x.org/coco.pth', 'sha256': 'a'}}
    second = {'minutes': 3.0, 'weights': {'file': 'iter_200.pth', 'sha256': 'b', 'run': first}}
    assert minutes_of_stages({'minutes': 1.0, 'weights': {'run': second}}) == [1.0, 3.0, 2.0]
    assert minutes_of_stages({'minutes': 1.0, 'weights': None}) == [1.0]
    assert minutes_of_stages({}) == [None]
