"""What the files hold besides the cells' pixels, their names, and files of a run."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image
from roifile import ROI_TYPE, roiread

from sartorius.annotations.label_files import LabelOptions, find_labels
from sartorius.export.coco_file import parts_without_holes
from sartorius.export.formats import DEFAULT_FORMATS, FORMATS, formats_of, write_image
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError, UsageError
from sartorius.visualization.overlay import class_color

from .readers import differing, drawn, exported, read_coco

CROPS, SIZE = drawn("""
    aaaa.b
    a.a...
    aaa.cc
""")


def test_files_are_called_by_image_and_format(tmp_path: Path) -> None:
    image = exported([CROPS], SIZE, pixels=np.zeros((1, *SIZE), np.uint8))
    written = write_image(tmp_path, image, FORMATS)
    assert [path.relative_to(tmp_path / 'plate').as_posix() for path in written] == [
        'A1_masks.tif',
        'A1_rois.zip',
        'A1_cells.csv',
        'A1.geojson',
        'A1_overlay.png',
        'A1_coco.json',
        'A1_seg.npy',
    ]
    assert sorted(path for path in tmp_path.rglob('*') if path.is_file()) == sorted(written)
    assert set(DEFAULT_FORMATS) <= set(FORMATS)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no format is called 'tiff'; known: masks, rois, table"):
        formats_of(['masks', 'tiff'])
    with pytest.raises(InputError, match='image plate/A1: its pixels are not at hand, and A1_overlay.png shows them'):
        write_image(tmp_path, exported([CROPS], SIZE), ['overlay'])
    for image_id in ('../A1', '/A1', ''):
        with pytest.raises(InputError, match='is no image id'):
            write_image(tmp_path / 'out', exported([CROPS], SIZE, image_id=image_id), ['masks'])
    with pytest.raises(InputError, match='two of its cells share a pixel'):
        write_image(tmp_path, exported([[*CROPS, CROPS[0]]], SIZE), ['masks'])
    with pytest.raises(InputError, match=r'A2_cells.csv is missing, so that cells.csv would lack an image'):
        FORMATS['table'].merge(tmp_path, ['A2'])
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == []


def test_a_label_tiff_has_units_axes_and_a_range_of_display(tmp_path: Path) -> None:
    (path,) = write_image(tmp_path, exported([CROPS], SIZE, pixel_size_um=0.65), ['masks'])
    with tifffile.TiffFile(path) as tiff:
        assert (tiff.series[0].axes, tiff.series[0].dtype) == ('YX', np.uint16)
        assert {key: tiff.imagej_metadata[key] for key in ('unit', 'min', 'max')} == {'unit': 'um', 'min': 0, 'max': 3}
        numerator, denominator = tiff.pages[0].tags['XResolution'].value
        assert denominator / numerator == pytest.approx(0.65)
    (path,) = write_image(tmp_path, exported([CROPS, []], SIZE, frame_interval_s=90.0), ['masks'])
    with tifffile.TiffFile(path) as tiff:
        assert (tiff.series[0].axes, tiff.imagej_metadata['finterval']) == ('TYX', 90)
        assert 'unit' not in tiff.imagej_metadata
    # ImageJ has no axis of length 1.
    (path,) = write_image(tmp_path, exported([CROPS], SIZE, is_movie=True), ['masks'])
    assert tifffile.imread(path).shape == SIZE


def test_more_labels_than_imagej_can_hold_are_an_ome_tiff(tmp_path: Path) -> None:
    pixel = np.ones((1, 1), bool)
    crops = [MaskCrop(pixel, index % 300, index // 300) for index in range(65_536)]
    image = exported([crops], (300, 300), pixel_size_um=0.65)
    (path, seg) = write_image(tmp_path, image, ['masks', 'seg'])
    with tifffile.TiffFile(path) as tiff:
        assert (tiff.is_ome, tiff.is_bigtiff, tiff.series[0].axes) == (True, False, 'YX')
        assert 'PhysicalSizeX="0.65" PhysicalSizeXUnit="µm"' in tiff.ome_metadata
        labels = tiff.asarray()
    assert (labels.dtype, labels.max()) == (np.uint32, 65_536)
    assert np.array_equal(labels, image.label_image(0))
    assert np.array_equal(labels, np.load(seg, allow_pickle=True).item()['masks'])


def test_regions_have_name_position_group_and_colour(tmp_path: Path) -> None:
    (path,) = write_image(tmp_path, exported([CROPS[:1], CROPS], SIZE), ['rois'])
    rois = roiread(path)
    assert [roi.name for roi in rois] == ['t0000-0001', 't0001-0001', 't0001-0002', 't0001-0003']
    assert [roi.position for roi in rois] == [1, 2, 2, 2]
    assert [roi.group for roi in rois] == [1, 1, 2, 1]
    assert rois[2].stroke_color == bytes((255, *class_color(1)))
    assert [roi.roitype for roi in rois[1:]] == [ROI_TYPE.RECT, ROI_TYPE.TRACED, ROI_TYPE.TRACED]


def test_features_are_what_qupath_reads(tmp_path: Path) -> None:
    image = exported([[], CROPS], SIZE, pixel_size_um=0.5, image_sha256='ab')
    (path,) = write_image(tmp_path, image, ['geojson'])
    features = json.loads(path.read_text())['features']
    assert features[1] == {
        'type': 'Feature',
        'id': features[1]['id'],
        'geometry': {
            'type': 'Polygon',
            'coordinates': features[1]['geometry']['coordinates'],
            'plane': {'c': -1, 'z': 0, 't': 1},
        },
        'properties': {
            'objectType': 'detection',
            'name': '2',
            'classification': {'name': 'long', 'color': list(class_color(1))},
            'measurements': {
                'Score': 0.75,
                'Area px^2': 1,
                'Length / width': 1.0,
                'Solidity': 1.0,
                'Area µm^2': 0.25,
            },
        },
    }
    assert shapely.geometry.shape(features[1]['geometry']).equals(shapely.box(5, 0, 6, 1))
    (again,) = write_image(tmp_path / 'again', image, ['geojson'])
    assert again.read_bytes() == path.read_bytes()
    assert len({feature['id'] for feature in features}) == 3


def test_cellpose_finds_its_keys(tmp_path: Path) -> None:
    (path,) = write_image(tmp_path, exported([CROPS], SIZE, file_name='A1.png'), ['seg'])
    content = np.load(path, allow_pickle=True).item()
    assert content.keys() == {'outlines', 'masks', 'chan_choose', 'ismanual', 'filename', 'flows', 'diameter'}
    assert content['ismanual'].tolist() == [False] * 3
    assert content['outlines'].tolist() == [[1, 1, 1, 1, 0, 2], [1, 0, 1, 0, 0, 0], [1, 1, 1, 0, 3, 3]]


def test_coco_files_of_images_are_merged(tmp_path: Path) -> None:
    images = [
        exported([CROPS], SIZE, image_id='b/A1', file_name='b/A1.png'),
        exported([[]], SIZE, image_id='A2'),
        exported([CROPS[:1], CROPS], SIZE, image_id='A3', file_name='A3.tif'),
    ]
    for image in images:
        write_image(tmp_path, image, ['coco'])
    merged = FORMATS['coco'].merge(tmp_path, [image.image_id for image in images])
    content = json.loads(merged.read_text())
    assert content['categories'] == [{'id': 1, 'name': 'round'}, {'id': 2, 'name': 'long'}]
    assert [(entry['id'], entry['file_name']) for entry in content['images']] == [
        (1, 'b/A1.png'),
        (2, 'A2'),
        (3, 'A3#t0000.tif'),
        (4, 'A3#t0001.tif'),
    ]
    assert [annotation['id'] for annotation in content['annotations']] == list(range(1, 8))
    assert [annotation['image_id'] for annotation in content['annotations']] == [1, 1, 1, 3, 4, 4, 4]
    assert [annotation['score'] for annotation in content['annotations'][:3]] == [1, 0.75, 0.5]
    assert differing(read_coco(tmp_path / 'b/A1_coco.json'), images[0]) == []
    # Where labels are looked for, the merged file stands for those of its images.
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / 'A2.png')
    assert find_labels(LabelOptions(tmp_path)).coco == [merged]
    other = exported([CROPS], SIZE, image_id='A4', classes=('cell', 'other'))
    write_image(tmp_path, other, ['coco'])
    with pytest.raises(InputError, match=r'A4_coco.json has other classes than .*A1_coco.json'):
        FORMATS['coco'].merge(tmp_path, ['b/A1', 'A4'])


def test_cells_are_cut_until_no_part_has_a_hole() -> None:
    crop = MaskCrop.from_full(np.indices((9, 9)).sum(axis=0) % 3 > 0)
    parts = parts_without_holes(crop)
    assert sum(part.to_full((9, 9)).astype(int) for part in parts).tolist() == crop.mask.astype(int).tolist()
    assert parts_without_holes(CROPS[1]) == [CROPS[1]]


def test_overlays_show_the_image_stretched_alike_in_all_frames(tmp_path: Path) -> None:
    pixels = np.full((2, 20, 30), 1000, np.uint16)
    pixels[1] = 3000
    (path,) = write_image(tmp_path, exported([[], []], (20, 30), pixels=pixels), ['overlay'])
    with Image.open(path) as picture:
        shown = []
        for frame in range(picture.n_frames):
            picture.seek(frame)
            shown.append(picture.convert('RGB').getpixel((5, 5)))
    assert shown == [(0, 0, 0), (255, 255, 255)]
