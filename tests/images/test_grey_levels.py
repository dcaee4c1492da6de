"""Grey levels of any depth in 8 bits: as numpy's percentiles say, without taking much memory."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sartorius.images import grey_levels
from sartorius.images.grey_levels import STRETCH_PERCENTILES, luminance, stretch, stretch_limits, to_uint8
from sartorius.images.structures import ImageStack
from sartorius.utils.errors import InputError

DEPTHS = ['uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'float32', 'float64']


def slow_stretch(image: np.ndarray, limits: tuple[float, float] | None = None) -> np.ndarray:
    low, high = map(float, limits or np.percentile(image, STRETCH_PERCENTILES))
    span = max(high - low, 1) if image.dtype.kind in 'iu' else (high - low) or 1
    return np.rint(np.clip((image.astype(np.float64) - low) * (255 / span), 0, 255)).astype(np.uint8)


def whole_numbers() -> st.SearchStrategy[np.ndarray]:
    shapes = arrays.array_shapes(min_dims=1, max_dims=3, max_side=12)
    return st.sampled_from([np.uint8, np.uint16]).flatmap(lambda kind: arrays.arrays(kind, shapes))


@given(whole_numbers())
def test_counted_percentiles_are_those_of_numpy_to_the_last_bit(image: np.ndarray) -> None:
    assert stretch_limits(image) == tuple(np.percentile(image, STRETCH_PERCENTILES))


@pytest.mark.parametrize('depth', DEPTHS)
@pytest.mark.parametrize('size', [1, 7, 999, 300_001])
def test_values_of_any_depth_are_stretched_as_the_formula_says(depth: str, size: int) -> None:
    rng = np.random.default_rng(size)
    image = (rng.normal(100, 20, size).clip(0, 120) * (1 if depth.endswith('t8') else 200)).astype(depth)
    np.testing.assert_array_equal(stretch(image), slow_stretch(image))
    np.testing.assert_array_equal(stretch(image, (50, 90.5)), slow_stretch(image, (50, 90.5)))


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [np.random.default_rng(0).normal(5000, 900, (300, 301)).astype(depth) for depth in ('uint16', 'float32')]
    whole = [stretch(image) for image in images]
    monkeypatch.setattr(grey_levels, '_CHUNK', 1009)
    for image, expected in zip(images, whole, strict=True):
        np.testing.assert_array_equal(stretch(image), expected)


def test_limits_of_a_large_float_image_come_from_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).normal(0, 1, (500, 401))
    exact = stretch_limits(image)
    monkeypatch.setattr(grey_levels, 'MAX_SORTED', 50_000)
    found = stretch_limits(image)
    assert found != exact
    assert found == pytest.approx(exact, abs=0.2)


def test_all_frames_of_a_movie_are_stretched_alike() -> None:
    dark = np.random.default_rng(0).integers(1000, 1100, (40, 50)).astype(np.uint16)
    movie = np.stack([dark, dark + 500])
    shown = ImageStack(Path('a.tif'), movie, is_movie=True).to_uint8()
    assert shown[0].max() < shown[1].min()
    np.testing.assert_array_equal(shown, stretch(movie))


def test_levels_override_the_stretch_even_of_8_bits() -> None:
    frames = np.array([[[0, 50, 100, 150, 255]]], np.uint8)
    image = ImageStack(Path('a.png'), frames)
    assert image.to_uint8() is frames
    assert image.to_uint8((50, 150)).tolist() == [[[0, 0, 127, 255, 255]]]
    with pytest.raises(InputError, match='levels 9:9 are not LOW:HIGH with LOW below HIGH'):
        image.to_uint8((9, 9))


@pytest.mark.parametrize('depth', ['uint8', 'uint16', 'float32', 'uint32', 'float64'])
def test_luminance_is_that_of_opencv(depth: str) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 5, 6, 3)).astype(depth)
    expected = [cv2.cvtColor(frame.astype(np.float32), cv2.COLOR_BGR2GRAY) for frame in frames]
    assert luminance(frames).dtype == frames.dtype
    np.testing.assert_allclose(luminance(frames), expected, atol=0.51 if depth.startswith('u') else 1e-3)


def test_a_flat_image_does_not_divide_by_zero() -> None:
    assert (stretch(np.full((4, 4), 30000, np.uint16)) == 0).all()
    assert (stretch(np.full((4, 4), 0.5)) == 0).all()


def test_few_bright_pixels_do_not_set_the_range() -> None:
    image = np.full((100, 100), 120, np.uint8)
    image[:50] = 130
    image[0, :5] = 255
    shown = stretch(image)
    assert shown[99, 0] == 0
    assert shown[1, 0] == 255


def test_floats_are_stretched() -> None:
    shown = to_uint8(np.linspace(0, 1, 1000).reshape(10, 100))
    assert (shown.min(), shown.max()) == (0, 255)
