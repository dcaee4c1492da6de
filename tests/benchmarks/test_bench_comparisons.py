import numpy as np
import pytest
from numpy.typing import NDArray
from prediction import codes_of_bitmaps, compare_codes
from pycocotools import mask as coco_mask

SIZE = (20, 30)


def rectangle(x1: int, y1: int, x2: int, y2: int) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE, dtype=bool)
    mask[y1:y2, x1:x2] = True
    return mask


def codes(*masks: NDArray[np.bool_]) -> list[dict]:
    return [coco_mask.encode(np.asfortranarray(mask.view(np.uint8))) for mask in masks]


A, B, C = rectangle(0, 0, 10, 10), rectangle(10, 0, 20, 10), rectangle(0, 12, 8, 20)


@pytest.mark.parametrize(
    ('ours', 'theirs', 'said'),
    [
        ([A, B], [A, B], 'same 2 cells, same masks'),
        ([B, A], [A, B], 'same 2 cells, same masks'),  # the order of cells is not compared
        ([A, rectangle(10, 0, 19, 10)], [A, B], 'same 2 cells, 10 of 200 px differ'),  # one column of 10 px less
        ([A], [A, B], '1 and 2 cells, 100 of 200 px differ'),
        ([A, B, C], [A, B], '3 and 2 cells, 64 of 200 px differ'),  # all of C
        ([], [], 'same 0 cells, same masks'),
    ],
)
def test_compare_codes(ours: list[NDArray], theirs: list[NDArray], said: str) -> None:
    assert compare_codes(SIZE, codes(*ours), codes(*theirs)) == said


def test_loop_over_bitmaps() -> None:
    hollow = A.copy()
    hollow[4:6, 4:6] = False
    covered = rectangle(2, 0, 11, 10)  # 80 of its 90 px belong to A
    small = rectangle(25, 0, 30, 5)  # 25 px, too few
    masks = np.stack([covered, small, hollow, B])
    found = codes_of_bitmaps(masks, np.array([0.5, 0.9, 0.8, 0.7], dtype=np.float32))
    assert compare_codes(SIZE, found, codes(A, B)) == 'same 2 cells, same masks'
