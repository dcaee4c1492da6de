"""The page of a prediction run: what is called unusual, and pictures that fit their outlines."""

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sartorius.masks.crop import MaskCrop
from sartorius.visualization.run_page import (
    MAX_PICTURE_SIDE,
    RunImage,
    find_unusual,
    picture_paths,
    write_outlines,
    write_picture,
    write_run_page,
)

from .html_page import HOSTILE, check


def image(name: str, cells: int = 100, area: float = 200.0, **changes: object) -> RunImage:
    own = RunImage(image_id=name, size=(520, 704), cells=(cells,), covered=0.2, median_area=area)
    return replace(own, **changes)


USUAL = [image(f'u{number}', 95 + number, 190 + number) for number in range(10)]


@pytest.mark.parametrize(
    ('odd', 'words'),
    [
        (image('x'), None),
        # Modified z-scores in logarithms: a spread of at least 10 % counts, so that 3.5 of them are a factor of 1.42.
        (image('x', cells=138), None),
        (image('x', cells=200), '200 cells, in most images about 100'),
        (image('x', cells=50), '50 cells, in most images about 99'),
        (image('x', area=20), '20 px in the median cell, in most images about 194'),
        (image('x', cells=0, area=math.nan), 'no cells'),
        (image('x', problem='is damaged', size=None), 'is damaged'),
        (image('x', limit_reached=True), 'there may be more cells than the model predicts at once'),
        (image('x', cut_cells=3), '3 cells are larger than the overlap'),
        # Of a movie the mean of its frames counts.
        (replace(image('x'), cells=(100, 102, 98)), None),
    ],
)
def test_what_is_unusual(odd: RunImage, words: str | None) -> None:
    found = find_unusual([*USUAL, odd])
    assert set(found) == (set() if words is None else {'x'})
    if words is not None:
        assert found['x'][0].startswith(words)


def test_few_images_are_never_unusual() -> None:
    assert find_unusual([image('a', 10), image('b', 1000)]) == {}


@pytest.mark.parametrize('size', [(30, 40), (3000, 2000)])
def test_outlines_lie_on_the_picture(size: tuple[int, int], tmp_path: Path) -> None:
    height, width = size
    pixels = np.zeros(size, np.uint8)
    y, x = height // 3, width // 4
    cell = MaskCrop(x=x, y=y, mask=np.ones((height // 4, width // 4), bool))
    pixels[y : y + height // 4, x : x + width // 4] = 255
    picture, outlines = picture_paths(tmp_path, 'A1/img.1')
    write_picture(picture, pixels)
    write_outlines(outlines, size, [cell])
    grey = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
    drawn = cv2.imread(str(outlines), cv2.IMREAD_UNCHANGED)
    assert grey.shape == drawn.shape[:2] and max(grey.shape) == min(max(size), MAX_PICTURE_SIDE)
    rows, columns = np.nonzero(drawn[..., 3] > 100)
    bright_rows, bright_columns = np.nonzero(grey > 128)
    assert abs(rows.min() - bright_rows.min()) <= 2 and abs(rows.max() - bright_rows.max()) <= 2
    assert abs(columns.min() - bright_columns.min()) <= 2 and abs(columns.max() - bright_columns.max()) <= 2


def test_page_names_every_image_and_escapes(tmp_path: Path) -> None:
    failed = RunImage(image_id='<b>bad', problem=f'is {HOSTILE}')
    names = (HOSTILE.replace('/', ''), 'a#b?c%20')
    hostile = [replace(USUAL[0], image_id=name, by_class={HOSTILE: 1}) for name in names]
    for one in [*USUAL, *hostile]:
        write_picture(picture_paths(tmp_path, one.image_id)[0], np.zeros((52, 70), np.uint8))
        write_outlines(picture_paths(tmp_path, one.image_id)[1], (52, 70), [])
    path = tmp_path / 'index.html'
    write_run_page(path, HOSTILE, [*USUAL, *hostile, failed], {HOSTILE: HOSTILE}, tmp_path)
    text = path.read_text(encoding='utf-8')
    assert text.count('<td class="text id">') == len(USUAL) + len(hostile) + 1
    page = check(path)
    assert page.text.count(HOSTILE) == 6 and '<b>bad' in page.text
    assert all(f'index_files/{one.image_id}.webp' in text and f'{one.image_id}_cells.webp' in text for one in USUAL)
