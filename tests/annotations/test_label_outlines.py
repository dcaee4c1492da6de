"""Cells from ImageJ's ROIs, QuPath's GeoJSON and labelme's JSON."""

import json
import struct
import zipfile

import numpy as np
import pytest
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from sartorius.annotations.label_outlines import CUT, EMPTY, NO_AREA, OTHER, read_geojson, read_labelme, read_rois
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError
from sartorius.visualization.outlines import outlines

SIZE = (20, 30)
SQUARE = [[3, 2], [9, 2], [9, 7], [3, 7]]
HOLE = [[5, 4], [7, 4], [7, 6], [5, 6]]
BLOCK = [[20, 10], [22, 10], [22, 13], [20, 13]]


def rectangle(x1, y1, x2, y2):
    mask = np.zeros(SIZE, dtype=bool)
    mask[y1:y2, x1:x2] = True
    return mask


def roi_of(kind, corners, **values):
    corners = np.array(corners)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    roi = ImagejRoi(roitype=kind, left=int(left), top=int(top), right=int(right), bottom=int(bottom), **values)
    if kind not in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        roi.integer_coordinates, roi.n_coordinates = corners - (left, top), len(corners)
    return roi


def composite(*rings):
    roi = roi_of(ROI_TYPE.RECT, np.concatenate(rings))
    path = []
    for ring in rings:
        path += [0, *ring[0], *(value for corner in ring[1:] for value in (1, *corner)), 4]
    roi.multi_coordinates, roi.shape_roi_size = np.array(path, dtype=np.float32), len(path)
    return roi


def read(tmp_path, *rois):
    with zipfile.ZipFile(tmp_path / 'a_rois.zip', 'w') as archive:
        for number, roi in enumerate(rois):
            archive.writestr(f'{number:04d}.roi', roi if isinstance(roi, bytes) else roi.tobytes())
    return read_rois(tmp_path / 'a_rois.zip', SIZE)


@pytest.mark.parametrize('kind', [ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED, ROI_TYPE.RECT])
def test_polygons_of_every_kind(tmp_path, kind):
    found = read(tmp_path, roi_of(kind, SQUARE))
    assert np.array_equal(found.crops[0].to_full(SIZE), rectangle(3, 2, 9, 7))


def test_a_composite_has_holes_and_pieces(tmp_path):
    (crop,) = read(tmp_path, composite(SQUARE, HOLE, BLOCK)).crops
    expected = rectangle(3, 2, 9, 7) ^ rectangle(5, 4, 7, 6) | rectangle(20, 10, 22, 13)
    assert np.array_equal(crop.to_full(SIZE), expected)


def test_curves_of_a_composite(tmp_path):
    """A circle as Java draws it: four cubic curves."""
    k = 4 * (2**0.5 - 1) / 3 * 5
    path = [0, 15, 8]
    for x1, y1, x2, y2, x3, y3 in (
        (15, 8 + k, 10 + k, 13, 10, 13),
        (10 - k, 13, 5, 8 + k, 5, 8),
        (5, 8 - k, 10 - k, 3, 10, 3),
        (10 + k, 3, 15, 8 - k, 15, 8),
    ):
        path += [3, x1, y1, x2, y2, x3, y3]
    roi = roi_of(ROI_TYPE.RECT, [[5, 3], [15, 13]])
    roi.multi_coordinates, roi.shape_roi_size = np.array([*path, 4], dtype=np.float32), len(path) + 1
    circle = roi_of(ROI_TYPE.OVAL, [[5, 3], [15, 13]])
    curved, round_ = read(tmp_path, roi, circle).crops
    assert np.array_equal(curved.to_full(SIZE), round_.to_full(SIZE)) and curved.area == 80


def test_ovals_fitted_ellipses_and_turned_rectangles(tmp_path):
    oval = roi_of(ROI_TYPE.OVAL, [[4, 3], [16, 9]])
    ellipse = roi_of(ROI_TYPE.FREEHAND, SQUARE, subtype=ROI_SUBTYPE.ELLIPSE, version=228)
    ellipse.x1, ellipse.y1, ellipse.x2, ellipse.y2 = 4, 6, 16, 6
    turned = roi_of(ROI_TYPE.FREEHAND, SQUARE, subtype=ROI_SUBTYPE.ROTATED_RECT, version=228)
    turned.x1, turned.y1, turned.x2, turned.y2 = 6, 2, 6, 7
    for roi, value in ((ellipse, 0.5), (turned, 6.0)):
        parts = struct.unpack('>BBh', struct.pack('>f', value))
        roi.arrow_style_or_aspect_ratio, roi.arrow_head_size, roi.rounded_rect_arc_size = parts
    first, second, third = read(tmp_path, oval, ellipse, turned).crops
    assert first.area == 56 and np.array_equal(first.to_full(SIZE), second.to_full(SIZE))
    assert np.array_equal(third.to_full(SIZE), rectangle(3, 2, 9, 7))


@pytest.mark.parametrize(
    ('kind', 'line', 'value', 'area'),
    [
        (ROI_SUBTYPE.ELLIPSE, (10, 40, 40, 50), 0.5, 393),
        (ROI_SUBTYPE.ELLIPSE, (60.5, 30.2, 70.1, 60.9), 0.3, 243),
        (ROI_SUBTYPE.ROTATED_RECT, (80, 30, 100, 45), 9, 220),
    ],
)
def test_areas_that_imagej_measures(tmp_path, kind, line, value, area):
    """ImageJ 1.53t: makeEllipse, makeRotatedRectangle, and getRawStatistics."""
    roi = roi_of(ROI_TYPE.FREEHAND, SQUARE, subtype=kind, version=228)
    roi.x1, roi.y1, roi.x2, roi.y2 = line
    parts = struct.unpack('>BBh', struct.pack('>f', value))
    roi.arrow_style_or_aspect_ratio, roi.arrow_head_size, roi.rounded_rect_arc_size = parts
    (tmp_path / 'a.roi').write_bytes(roi.tobytes())
    assert read_rois(tmp_path / 'a.roi', (90, 120)).crops[0].area == area


def test_a_single_roi_file_and_its_class(tmp_path):
    roi = roi_of(ROI_TYPE.POLYGON, SQUARE)
    roi.props = 'class: neuron\n'
    (tmp_path / 'a.roi').write_bytes(roi.tobytes())
    found = read_rois(tmp_path / 'a.roi', SIZE)
    assert found.classes == ('neuron',) and found.crops[0].area == 30


def test_shapes_without_area_without_centres_and_over_the_border_are_counted(tmp_path):
    line = ImagejRoi(roitype=ROI_TYPE.LINE, x1=1, y1=1, x2=5, y2=5)
    point = roi_of(ROI_TYPE.POINT, [[3, 3], [5, 5]])
    thin = roi_of(ROI_TYPE.POLYGON, [[3, 3], [9, 3], [5, 3]])
    over = roi_of(ROI_TYPE.RECT, [[-4, 15], [3, 25]])
    found = read(tmp_path, line, point, thin, over)
    assert found.counts == {NO_AREA: 2, EMPTY: 1, CUT: 1}
    assert np.array_equal(found.crops[0].to_full(SIZE), rectangle(0, 15, 3, 20))


@pytest.mark.parametrize(
    ('roi', 'message'),
    [
        (roi_of(ROI_TYPE.RECT, [[40, 2], [44, 9]]), r'ROI 0000 lies outside its image of 30x20 pixels \(x 40 to 44'),
        (roi_of(ROI_TYPE.RECT, SQUARE, t_position=3), r'frame 2 \(counted from 0\)'),
        (roi_of(ROI_TYPE.RECT, SQUARE, position=2), r'frame 1 \(counted from 0\)'),
        (b'Iout', 'ROI 0000 cannot be read'),
    ],
)
def test_a_roi_that_does_not_fit_is_refused(tmp_path, roi, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, roi)


def test_a_zip_of_no_rois_is_refused(tmp_path):
    (tmp_path / 'a_rois.zip').write_bytes(b'PK')
    with pytest.raises(InputError, match='no zip of ROIs'):
        read_rois(tmp_path / 'a_rois.zip', SIZE)
    with zipfile.ZipFile(tmp_path / 'a_rois.zip', 'w') as archive:
        archive.writestr('a.txt', 'text')
    with pytest.raises(InputError, match='holds no ROI'):
        read_rois(tmp_path / 'a_rois.zip', SIZE)


def test_an_empty_zip_is_an_image_without_cells(tmp_path):
    assert read(tmp_path).crops == ()


def feature(geometry, **properties):
    return {'type': 'Feature', 'geometry': geometry, 'properties': properties}


def read_features(tmp_path, content):
    (tmp_path / 'a.geojson').write_text(json.dumps(content))
    return read_geojson(tmp_path / 'a.geojson', SIZE)


def polygon(*rings):
    return {'type': 'Polygon', 'coordinates': [[*ring, ring[0]] for ring in rings]}


@pytest.mark.parametrize('wrap', [lambda f: {'type': 'FeatureCollection', 'features': [f]}, lambda f: [f], lambda f: f])
def test_geojson_of_every_form(tmp_path, wrap):
    found = read_features(tmp_path, wrap(feature(polygon(SQUARE, HOLE), objectType='annotation')))
    assert np.array_equal(found.crops[0].to_full(SIZE), rectangle(3, 2, 9, 7) ^ rectangle(5, 4, 7, 6))
    assert found.classes == ('',)


@pytest.mark.parametrize(
    ('classification', 'name'),
    [
        ({'name': 'Tumor', 'color': [200, 0, 0]}, 'Tumor'),
        ({'names': ['Tumor', 'Positive']}, 'Tumor: Positive'),
        (None, ''),
    ],
)
def test_classification_is_the_class(tmp_path, classification, name):
    assert read_features(tmp_path, [feature(polygon(SQUARE), classification=classification)]).classes == (name,)


def test_a_multi_polygon_is_one_cell_and_a_nucleus_none(tmp_path):
    parts = {'type': 'MultiPolygon', 'coordinates': [[SQUARE, HOLE], [BLOCK]]}
    cell = {**feature(parts, objectType='cell'), 'nucleusGeometry': polygon(HOLE)}
    found = read_features(tmp_path, [cell, feature({'type': 'Point', 'coordinates': [3, 3]})])
    assert [crop.area for crop in found.crops] == [26 + 6] and found.counts == {NO_AREA: 1}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('[', 'not JSON'),
        ('7', 'no list of features'),
        ('{"features": 3}', 'no list of features'),
        ('[{"geometry": null}]', 'feature 0 .* cannot be read'),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[["a", 1]]]}}]', 'feature 0 .* cannot be read'),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[[NaN, 1], [2, 2], [3, 1]]]}}]', 'no numbers'),
        (json.dumps([feature({**polygon(SQUARE), 'plane': {'c': -1, 'z': 0, 't': 4}})]), 'lies in frame 4'),
    ],
)
def test_geojson_that_is_none_is_refused(tmp_path, content, message):
    (tmp_path / 'a.geojson').write_text(content)
    with pytest.raises(InputError, match=message):
        read_geojson(tmp_path / 'a.geojson', SIZE)


def test_labelme(tmp_path):
    shapes = [
        {'label': 'a', 'points': SQUARE, 'shape_type': 'polygon', 'group_id': None},
        {'label': 'b', 'points': [[12, 3], [15, 5]], 'shape_type': 'rectangle', 'group_id': 1},
        {'label': 'b', 'points': BLOCK, 'shape_type': 'polygon', 'group_id': 1},
        {'label': 'c', 'points': [[10, 12], [10, 15]], 'shape_type': 'circle'},
        {'label': 'd', 'points': [[1, 1]], 'shape_type': 'point'},
    ]
    path = tmp_path / 'a.json'
    path.write_text(json.dumps({'shapes': shapes, 'imageHeight': SIZE[0], 'imageWidth': SIZE[1], 'imageData': None}))
    found = read_labelme(path, SIZE)
    assert found.classes == ('a', 'b', 'c') and [crop.area for crop in found.crops] == [30, 12, 32]
    assert found.counts == {NO_AREA: 1}
    with pytest.raises(InputError, match='an image of 30x20 pixels, this one has 20x30'):
        read_labelme(path, SIZE[::-1])


def test_the_projects_own_outlines_come_back_exactly_from_both(tmp_path):
    mask = np.random.default_rng(0).random(SIZE) < 0.6
    rings = [ring.tolist() for ring in outlines(MaskCrop(mask, 0, 0))]
    from_rois = read(tmp_path, composite(*rings)).crops[0]
    from_geojson = read_features(tmp_path, [feature({'type': 'Polygon', 'coordinates': rings})]).crops[0]
    for crop in (from_rois, from_geojson):
        assert np.array_equal(crop.to_full(SIZE), mask)


def test_other_files_beside_rois_are_counted(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a_rois.zip', 'w') as archive:
        for name in ('0001.roi', 'notes.txt', 'sub/', '__MACOSX/._0001.roi.txt'):
            archive.writestr(name, roi_of(ROI_TYPE.POLYGON, SQUARE).tobytes())
    found = read_rois(tmp_path / 'a_rois.zip', SIZE)
    assert len(found.crops) == 1 and found.counts == {OTHER: 1}


def test_a_zip_whose_directory_lost_rois_is_refused(tmp_path):
    path = tmp_path / 'a_rois.zip'
    read(tmp_path, roi_of(ROI_TYPE.POLYGON, SQUARE), roi_of(ROI_TYPE.POLYGON, BLOCK))
    content = bytearray(path.read_bytes())
    # One bit of the length of the first entry's comment: zipfile takes what follows for that comment.
    content[content.index(b'PK\x01\x02') + 33] ^= 16
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ['0000.roi']
    with pytest.raises(InputError, match='damaged'):
        read_rois(path, SIZE)
