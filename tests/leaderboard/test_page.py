"""What the page of results does to what it is given to show."""

import pytest

from sartorius.leaderboard.page import portable


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('--data-root /home/me/data/sartorius --fold 0', '--data-root .../data/sartorius --fold 0'),
        ("--cfg-options 'a=/home/me/x/y.pth' --out work_dirs/a/b", "--cfg-options 'a=.../x/y.pth' --out work_dirs/a/b"),
        (
            'python tools/train.py configs/sartorius/mrcnn_r18.py',
            'python tools/train.py configs/sartorius/mrcnn_r18.py',
        ),
        ('--load-from https://x.org/a/b/c.pth', '--load-from https://x.org/a/b/c.pth'),
        ('--data-root $SARTORIUS_DATA', '--data-root $SARTORIUS_DATA'),
    ],
)
def test_no_machine_is_recognised_by_its_folders(text: str, shown: str) -> None:
    assert portable(text) == shown
