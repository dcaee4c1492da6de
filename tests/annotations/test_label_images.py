"""Cells from label images."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from sartorius.annotations.label_images import PIECES, SPLIT, read_label_image
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError

# Three cells that touch; the second has a hole, and number 7 and above are not in order.
LABELS = np.zeros((12, 15), dtype=np.int64)
LABELS[1:4, 1:5], LABELS[4:9, 2:8], LABELS[6, 4], LABELS[0, 14] = 9, 2, 0, 200


def write_seg(path, labels):
    np.save(path, {'masks': labels, 'outlines': labels, 'filename': 'a.tif'}, allow_pickle=True)


def write_palette(path, labels):
    image = Image.fromarray(labels.astype(np.uint8), mode='P')
    image.putpalette(list(range(256)) * 3)
    image.save(path)


WRITERS = {
    'uint8.png': lambda path, labels: cv2.imwrite(str(path), labels.astype(np.uint8)),
    'uint16.png': lambda path, labels: cv2.imwrite(str(path), labels.astype(np.uint16)),
    'palette.png': write_palette,
    'grey_as_colour.png': lambda path, labels: cv2.imwrite(str(path), labels.astype(np.uint8)[..., None].repeat(3, 2)),
    'uint16_imagej.tif': lambda path, labels: tifffile.imwrite(path, labels.astype(np.uint16), imagej=True),
    'float_imagej.tif': lambda path, labels: tifffile.imwrite(path, labels.astype(np.float32), imagej=True),
    'uint32_ome.tif': lambda path, labels: tifffile.imwrite(path, labels.astype(np.uint32), ome=True),
    'int64_napari.tif': lambda path, labels: tifffile.imwrite(path, labels, compression='zlib'),
    'lzw.tif': lambda path, labels: cv2.imwrite(str(path), labels.astype(np.uint16)),
    'one_page.tif': lambda path, labels: tifffile.imwrite(path, labels[None].astype(np.uint16)),
    'a_seg.npy': write_seg,
}


@pytest.mark.parametrize('name', WRITERS)
def test_every_kind_gives_the_same_cells(tmp_path, name):
    WRITERS[name](tmp_path / name, LABELS)
    found = read_label_image(tmp_path / name, LABELS.shape)
    assert [crop.area for crop in found.crops] == [29, 12, 1]
    for crop, number in zip(found.crops, (2, 9, 200), strict=True):
        assert np.array_equal(crop.to_full(LABELS.shape), np.equal(LABELS, number))
    assert found.classes == ('', '', '') and not found.counts


@pytest.mark.parametrize('number', [1, 2**32 - 1])
def test_numbers_that_are_far_apart_take_no_memory(tmp_path, number):
    labels = np.equal(LABELS, 9).astype(np.uint32) * number
    tifffile.imwrite(tmp_path / 'a.tif', labels)
    assert [crop.area for crop in read_label_image(tmp_path / 'a.tif', labels.shape).crops] == [12]


def test_an_image_without_background_and_one_without_cells(tmp_path):
    for value, areas in ((3, [20]), (0, [])):
        tifffile.imwrite(tmp_path / 'a.tif', np.full((4, 5), value, np.uint16))
        assert [crop.area for crop in read_label_image(tmp_path / 'a.tif', (4, 5)).crops] == areas


def test_pieces_are_kept_as_one_cell_or_split(tmp_path):
    labels = LABELS.copy()
    labels[10:12, 12:15] = 9
    tifffile.imwrite(tmp_path / 'a.tif', labels.astype(np.uint16))
    for pieces in (None, 'keep'):
        kept = read_label_image(tmp_path / 'a.tif', labels.shape, pieces)
        assert [crop.area for crop in kept.crops] == [29, 18, 1] and kept.counts == {PIECES: 1}
    split = read_label_image(tmp_path / 'a.tif', labels.shape, 'split')
    assert [crop.area for crop in split.crops] == [29, 12, 6, 1] and split.counts == {SPLIT: 2}
    union = PackedMasks.from_crops(split.crops).to_labels(labels.shape)
    assert np.array_equal(union > 0, labels > 0)


def test_a_black_and_white_mask_is_no_label_image(tmp_path):
    mask = (LABELS > 0).astype(np.uint8) * 255
    cv2.imwrite(str(tmp_path / 'a.png'), mask)
    with pytest.raises(InputError, match=r'one label \(255\) in 2 pieces.*--pieces split'):
        read_label_image(tmp_path / 'a.png', mask.shape)
    assert len(read_label_image(tmp_path / 'a.png', mask.shape, 'split').crops) == 2
    assert len(read_label_image(tmp_path / 'a.png', mask.shape, 'keep').crops) == 1


@pytest.mark.parametrize(
    ('array', 'message'),
    [
        (np.stack([LABELS, LABELS * 2, LABELS], axis=2).astype(np.uint8), 'picture of labels in colour'),
        (np.stack([LABELS] * 5).astype(np.uint16), '5 x 12 x 15 labels.*each frame'),
        (-LABELS.astype(np.int16), 'negative label -200'),
        (LABELS + np.float32(0.5), 'not whole numbers'),
        (np.where(LABELS, np.nan, 0).astype(np.float32), 'not whole numbers'),
        (LABELS[:, :-1].astype(np.uint16), 'has 14x12 pixels, its image 15x12'),
        (LABELS.T.astype(np.uint16), 'has 12x15 pixels'),
    ],
)
def test_what_is_no_label_image_of_this_image_is_refused(tmp_path, array, message):
    tifffile.imwrite(tmp_path / 'a.tif', array, photometric='rgb' if array.shape[-1] == 3 else 'minisblack')
    with pytest.raises(InputError, match=message):
        read_label_image(tmp_path / 'a.tif', LABELS.shape)


@pytest.mark.parametrize('name', ['a.tif', 'a.png', 'a_seg.npy'])
def test_damaged_files_are_one_sentence(tmp_path, name):
    for content in (b'', b'no image', WRITERS['uint16.png']):
        path = tmp_path / name
        if callable(content):
            content(tmp_path / 'whole.png', LABELS)
            content = (tmp_path / 'whole.png').read_bytes()[:60]
        path.write_bytes(content)
        with pytest.raises(InputError, match='damaged'):
            read_label_image(path, LABELS.shape)


@pytest.mark.parametrize('damage', ['check sum', 'end'])
def test_a_png_that_pillow_alone_would_read_is_refused(tmp_path, damage):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.eye(8, dtype=np.uint8))
    data = path.read_bytes()
    place = data.index(b'IEND') - 5  # Behind the pixels: the last byte of their check sum.
    path.write_bytes(
        data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :] if damage == 'check sum' else data[:-12]
    )
    with pytest.raises(InputError, match='damaged, or no label image'):
        read_label_image(path, (8, 8))
