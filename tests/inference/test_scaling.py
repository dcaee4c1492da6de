"""Configs for images of another magnification or size than the trained ones."""

import pytest
from mmengine.config import Config

from sartorius.engine.config import load_config
from sartorius.inference.scaling import needs_tiles, rescale_config, trained_factor
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CONFIG_DIR


def resize_of(config: Config) -> dict:
    return next(step for step in config.test_dataloader.dataset.pipeline if step['type'] == 'Resize')


@pytest.mark.parametrize(('name', 'factor'), [('mrcnn_r50', 2.0), ('mrcnn_r50_highres', 3.0), ('mrcnn_r50_fine', 1.0)])
def test_edges_become_the_factor_of_a_trained_image(name: str, factor: float) -> None:
    config = load_config(CONFIG_DIR / 'sartorius' / f'{name}.py')
    assert trained_factor(config) == factor
    # Pixels half as wide: half as much enlarged, and tiles of twice as many pixels.
    fine = rescale_config(config, 0.5)
    assert resize_of(fine) == dict(type='Resize', scale_factor=factor / 2)
    assert fine.tta_scales == pytest.approx([0.4 * factor, 0.5 * factor])
    assert dict(fine.tiles) == dict(size=(1040, 1408), overlap=512, scale=1.0)
    assert trained_factor(fine) == factor / 2
    assert trained_factor(config) == factor, 'the config itself is changed'


@pytest.mark.parametrize('scale', [0.0, -1.0, 8.1, float('nan')])
def test_scales_that_cannot_be(scale: float) -> None:
    config = load_config(CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py')
    with pytest.raises(InputError, match=f'a scale of {scale:g} between .* at most 8'):
        rescale_config(config, scale)


@pytest.mark.parametrize(
    ('size', 'scale', 'expected'),
    [
        ((520, 704), 1.0, False),
        ((1040, 1408), 1.0, False),
        ((1040, 1409), 1.0, True),
        # The same field of view with half the pixels.
        ((2080, 2816), 0.5, False),
        ((520, 704), 2.1, True),
        ((100, 4000), 1.0, False),
    ],
)
def test_images_that_need_tiles(size: tuple[int, int], scale: float, expected: bool) -> None:
    assert needs_tiles(size, scale) == expected
