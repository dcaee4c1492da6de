"""Synthetic images that are drawn in training, alone and beside images of files."""

import numpy as np
import pytest

from sartorius.datasets.samplers import SeededDataset
from sartorius.datasets.synthetic import SyntheticCellDataset
from sartorius.engine.browsing import choose_samples
from sartorius.engine.run_record import describe_synthetic
from sartorius.synthetic.stream import stream_image
from sartorius.utils.errors import InputError

SIZE = (40, 56)


class Items:
    """A data set whose items are their own indices."""

    metainfo = {'classes': ('cell',)}

    def __init__(self, name: str, length: int | None) -> None:
        self.name, self.length, self.endless = name, length, length is None

    def __len__(self) -> int:
        return self.length or 2**31 - 1

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.name, index


def test_an_item_is_an_image_of_the_stream_as_if_it_were_loaded() -> None:
    pixels = stream_image(3, 5, SIZE, 'lines')
    item = SyntheticCellDataset(SIZE, 'lines', seed=3)[5]
    assert (item['img'] == pixels.image[..., None]).all() and item['img'].shape == (*SIZE, 3)
    assert np.array_equal(item['gt_masks'].to_ndarray() > 0, [crop.to_full(SIZE) for crop in pixels.crops])
    assert np.array_equal(item['gt_bboxes'].numpy(), [crop.window for crop in pixels.crops])
    assert item['gt_bboxes_labels'].tolist() == [0] * len(pixels.crops) and not item['gt_ignore_flags'].any()
    assert (item['ori_shape'], item['img_shape'], item['img_id']) == (SIZE, SIZE, 'synthetic5')


def test_types_are_classes_in_the_order_of_the_config() -> None:
    classes = ('cort', 'astro', 'shsy5y')
    dataset = SyntheticCellDataset(SIZE, 'types', metainfo={'classes': classes})
    for index in range(6):
        item = dataset[index]
        assert {classes[label] for label in item['gt_bboxes_labels']} == {item['cell_type']}


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ({'breadth': 'typse'}, 'types'),
        ({'images': 0}, 'images is 0'),
        ({'size': (20, 56)}, '56x20'),
        ({'metainfo': {'classes': ('cort', 'astro', 'shsy5y')}}, 'drawn'),
    ],
)
def test_what_cannot_be_drawn_is_refused(options: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        SyntheticCellDataset(**{'size': SIZE, **options})


def test_a_share_of_the_samples_is_real_and_no_image_of_the_stream_comes_twice() -> None:
    dataset = SeededDataset(Items('real', 6), seed=1, synthetic=Items('drawn', None), share=0.15)
    samples = [dataset[number] for number in range(200)]
    assert [index for name, index in samples if name == 'drawn'] == list(range(170))
    real = [index for name, index in samples if name == 'real']
    assert all(sorted(real[start : start + 6]) == list(range(6)) for start in range(0, 30, 6))
    gaps = np.diff([number for number, (name, _) in enumerate(samples) if name == 'real'])
    assert set(gaps) <= {6, 7}


def test_a_number_of_images_comes_again_in_another_order() -> None:
    dataset = SeededDataset(SyntheticCellDataset(SIZE, images=5), seed=0)
    passes = [[dataset.source(number)[1] for number in range(start, start + 5)] for start in (0, 5)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(5)) and passes[0] != passes[1]
    assert SeededDataset(Items('drawn', None)).source(10**6)[1] == 10**6


def test_what_a_run_records_and_browses_of_drawn_images() -> None:
    drawn = SyntheticCellDataset(SIZE, seed=4)
    alone, mixed = SeededDataset(drawn), SeededDataset(Items('real', 6), synthetic=drawn, share=0.1)
    record = {'breadth': 'drawn', 'height': 40, 'width': 56, 'seed': 4}
    assert describe_synthetic(alone).to_dict() == record
    assert describe_synthetic(mixed).to_dict() == {**record, 'share': 0.9}
    assert describe_synthetic(SeededDataset(Items('real', 6))) is None
    files = Items('rendered', 8)
    files.get_data_info = lambda _: {'height': 52, 'width': 70}
    beside = describe_synthetic(SeededDataset(Items('real', 6), synthetic=files, share=0.75))
    assert beside.to_dict() == {'breadth': 'files', 'height': 52, 'width': 70, 'images': 8, 'share': 0.25}
    assert choose_samples(alone, 3, 2) == choose_samples(mixed, 3, 2) == {0: [0], 1: [1], 2: [2]}


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ({'share': 0.5}, 'share is 0.5'),
        ({'share': 1, 'synthetic': Items('drawn', None)}, 'share is 1'),
        ({'share': 0.5, 'synthetic': SyntheticCellDataset(SIZE, metainfo={'classes': ('x',)})}, '--merge-classes x'),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(options: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        SeededDataset(Items('real', 6), **options)
