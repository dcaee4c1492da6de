"""A folder of images with labels of any tool, prepared for training."""

import json

import numpy as np
import pytest
import tifffile

from sartorius.annotations.coco import read_coco
from sartorius.annotations.image_preparation import ImagePreparationOptions, LabelOptions, prepare_images
from sartorius.annotations.image_summary import OVERLAPPING
from sartorius.annotations.info import read_info
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError, UsageError

SIZE = (12, 15)


def write_image(path, seed=0, **values):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 5000, SIZE).astype(np.uint16)
    tifffile.imwrite(path, pixels, **values)


def labels_of(count):
    """``count`` cells of 2x2 px."""
    labels = np.zeros(SIZE, dtype=np.uint16)
    for number in range(count):
        labels[3 * (number // 5) :, 3 * (number % 5) :][:2, :2] = number + 1
    return labels


@pytest.fixture
def data(tmp_path):
    """Three wells of two images each, of 3 to 8 cells, labelled by label images, and an image without labels."""
    root = tmp_path / 'data'
    for number in range(6):
        path = root / f'W{number // 2}' / f'f{number % 2}.tif'
        write_image(path, number)
        tifffile.imwrite(path.with_name(f'f{number % 2}_masks.tif'), labels_of(3 + number))
    write_image(root / 'W0' / 'new.tif')
    return root


def prepare(root, out, **options):
    files = {name: options.pop(name) for name in ('labels', 'label_name', 'format') if name in options}
    return prepare_images(ImagePreparationOptions(files=LabelOptions(root, skipped=out, **files), **options), out)


def masks_in(path, classes=('cell',)):
    return {
        image_id: PackedMasks.from_crops(image.crops).to_labels(SIZE)
        for image_id, image in read_coco(path, classes).items()
    }


def test_cells_folds_and_files(data, tmp_path):
    out = tmp_path / 'out'
    prepared = prepare(data, out)
    assert prepared.classes == ('cell',) and prepared.folds == 3
    folds = [f'fold{fold}_{part}.json' for fold in range(3) for part in ('train', 'val')]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ['all.json', 'folds.csv', 'summary.md', 'unlabelled.json', *folds]
    )
    found = masks_in(out / 'all.json')
    assert list(found) == ['W0/f0', 'W0/f1', 'W1/f0', 'W1/f1', 'W2/f0', 'W2/f1']
    for number, labels in enumerate(found.values()):
        assert np.array_equal(labels, labels_of(3 + number))
    for fold in range(3):
        groups = [
            {name.split('/')[0] for name in masks_in(out / f'fold{fold}_{part}.json')} for part in ('train', 'val')
        ]
        assert len(groups[1]) == 1 and not groups[0] & groups[1] and len(groups[0] | groups[1]) == 3
    (image,) = json.loads((out / 'unlabelled.json').read_text())['images']
    assert image['file_name'] == 'W0/new.tif'
    assert 'images without labels, in unlabelled.json, not in training: 1 (W0/new.tif)' in prepared.summary


def test_what_the_files_say_of_the_data(data, tmp_path):
    prepare(data, tmp_path / 'out', merge_classes='nucleus')
    info = read_info(tmp_path / 'out' / 'fold1_train.json')
    assert (info.origin, info.split, info.fold, info.folds) == ('own images', 'train', 1, 3)
    assert info.classes == ('nucleus',) and info.cell_diameter_px == 2.3 and info.pixel_size_um is None
    assert len(info.grey_mean) == len(info.grey_std) == 3 and 100 < info.grey_mean[0] < 150 and info.grey_std[0] > 50


def test_pixel_size_where_all_agree(tmp_path):
    for name in 'ab':
        write_image(tmp_path / f'{name}.tif', imagej=True, resolution=(2, 2), metadata={'unit': 'um'})
        tifffile.imwrite(tmp_path / f'{name}_masks.tif', labels_of(4))
    prepare(tmp_path, tmp_path / 'out')
    assert read_info(tmp_path / 'out' / 'all.json').pixel_size_um == 0.5
    write_image(tmp_path / 'b.tif', imagej=True, resolution=(1, 1), metadata={'unit': 'um'})
    assert 'different pixel sizes' in prepare(tmp_path, tmp_path / 'out').summary
    assert read_info(tmp_path / 'out' / 'all.json').pixel_size_um is None


def test_unlabelled_images_as_images_without_cells(data, tmp_path):
    prepare(data, tmp_path / 'out', keep_unlabelled=True)
    found = masks_in(tmp_path / 'out' / 'all.json')
    assert len(found) == 7 and not found['W0/new'].any() and not (tmp_path / 'out' / 'unlabelled.json').exists()


@pytest.mark.parametrize(
    ('group_by', 'groups'),
    [('folder', {'W0', 'W1', 'W2'}), ('image', None), (r'W(\d)', {'0', '1', '2'}), ('f[01]', {'f0', 'f1'})],
)
def test_groups(data, tmp_path, group_by, groups):
    prepare(data, tmp_path / 'out', group_by=group_by, folds=2)
    images = json.loads((tmp_path / 'out' / 'all.json').read_text())['images']
    assert {image['group'] for image in images} == (groups or {image['file_name'][:-4] for image in images})


def test_a_flat_folder_is_grouped_by_image_and_a_single_image_has_no_folds(tmp_path):
    write_image(tmp_path / 'a.tif')
    tifffile.imwrite(tmp_path / 'a_masks.tif', labels_of(5))
    out = tmp_path / 'out'
    assert prepare(tmp_path, out).folds == 0 and not list(out.glob('fold*_*')) and len(masks_in(out / 'all.json')) == 1
    with pytest.raises(InputError, match='2 folds need as many groups'):
        prepare(tmp_path, out, folds=2)
    write_image(tmp_path / 'b.tif')
    tifffile.imwrite(tmp_path / 'b_masks.tif', labels_of(6))
    prepared = prepare(tmp_path, out)
    assert prepared.folds == 2 and '**each image a group of its own**' in prepared.summary


def write_geojson(path, *cells):
    features = []
    for x, y, name in cells:
        ring = [[x, y], [x + 4, y], [x + 4, y + 3], [x, y + 3], [x, y]]
        classification = {'name': name} if name else None
        geometry = {'type': 'Polygon', 'coordinates': [ring]}
        features.append({'type': 'Feature', 'geometry': geometry, 'properties': {'classification': classification}})
    path.write_text(json.dumps({'type': 'FeatureCollection', 'features': features}))


def test_classes_of_the_files_and_overlaps(tmp_path):
    for name, cells in (('a', [(0, 0, 'tumor'), (2, 1, ''), (9, 8, 'stroma')]), ('b', [(5, 5, 'tumor')])):
        write_image(tmp_path / 'kind' / f'{name}.tif')
        write_geojson(tmp_path / 'kind' / f'{name}.geojson', *cells)
    prepared = prepare(tmp_path, tmp_path / 'out')
    assert prepared.classes == ('cell', 'stroma', 'tumor') and f'{OVERLAPPING}: 2' in prepared.summary
    image = read_coco(tmp_path / 'out' / 'all.json', prepared.classes)['kind/a']
    assert image.labels.tolist() == [2, 0, 1] and [crop.area for crop in image.crops] == [12, 12, 12]
    assert prepare(tmp_path, tmp_path / 'out', class_by_folder=True).classes == ('kind', 'stroma', 'tumor')
    assert prepare(tmp_path, tmp_path / 'out', class_name='x').classes == ('stroma', 'tumor', 'x')
    wanted = ('tumor', 'stroma', 'cell', 'other')
    assert prepare(tmp_path, tmp_path / 'out', classes=wanted).classes == wanted
    with pytest.raises(InputError, match="class 'cell', which is not among --classes"):
        prepare(tmp_path, tmp_path / 'out', classes=('tumor', 'stroma'))


def coco_of(images, annotations, names):
    return {
        'images': [{'id': f'i{k}', 'file_name': name, 'height': 12, 'width': 15} for k, name in enumerate(images)],
        'categories': [{'id': k, 'name': name} for k, name in enumerate(names)],
        'annotations': [
            {'id': k, 'image_id': f'i{image}', 'category_id': category, 'iscrowd': crowd, 'segmentation': [corners]}
            for k, (image, category, corners, crowd) in enumerate(annotations)
        ],
    }


def test_coco_of_other_tools(tmp_path):
    """As Roboflow exports: a category above all, a folder with a JSON for each split; one image has no entry."""
    square = [2, 2, 6, 2, 6, 5, 2, 5]
    for split, annotations in (('train', [(0, 1, square, 0), (0, 2, [8, 2, 12, 2, 12, 5, 8, 5], 1)]), ('valid', [])):
        write_image(tmp_path / split / 'a.tif')
        content = coco_of(['a.tif'], annotations, ['cells', 'round', 'long'])
        (tmp_path / split / '_annotations.coco.json').write_text(json.dumps(content))
    write_image(tmp_path / 'train' / 'extra.tif')
    prepared = prepare(tmp_path, tmp_path / 'out')
    assert prepared.classes == ('long', 'round') and prepared.folds == 2
    images = read_coco(tmp_path / 'out' / 'all.json', prepared.classes)
    assert [crop.area for crop in images['train/a'].crops] == [12] and len(images['train/a'].crowd) == 1
    assert len(images['valid/a']) == 0
    assert 'not in training: 1 (train/extra.tif)' in prepared.summary


def test_coco_of_a_label_studio_export_elsewhere(tmp_path):
    write_image(tmp_path / 'in' / 'a.tif')
    content = coco_of(['images\\0f3c-b.tif', '../../upload/1/a.tif'], [(1, 0, [2, 2, 6, 2, 6, 5, 2, 5], 0)], ['cell'])
    (tmp_path / 'result.json').write_text(json.dumps(content))
    prepared = prepare(tmp_path / 'in', tmp_path / 'out', labels=tmp_path / 'result.json')
    assert 'labels without an image, ignored: 1' in prepared.summary
    content['images'][1]['height'] = 13
    (tmp_path / 'result.json').write_text(json.dumps(content))
    with pytest.raises(InputError, match='labels .*a.tif of 15x13 pixels, .*a.tif has 15x12'):
        prepare(tmp_path / 'in', tmp_path / 'out', labels=tmp_path / 'result.json')


def test_a_movie_is_refused_in_one_sentence(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', np.zeros((3, *SIZE), np.uint8), imagej=True, metadata={'axes': 'TYX'})
    tifffile.imwrite(tmp_path / 'a_masks.tif', np.stack([labels_of(3)] * 3), imagej=True, metadata={'axes': 'TYX'})
    with pytest.raises(InputError, match='a stack of 3 images; save each to a file of its own'):
        prepare(tmp_path, tmp_path / 'out')


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        ({'group_by': '('}, UsageError, 'no regular expression'),
        ({'group_by': 'plate'}, InputError, 'finds nothing'),
        ({'folds': 7}, InputError, '7 folds need as many groups'),
        ({'label_name': '{name}.none'}, UsageError, 'none of'),
    ],
)
def test_options_that_do_not_fit(data, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        prepare(data, tmp_path / 'out', **options)


def test_labels_without_any_cell(tmp_path):
    write_image(tmp_path / 'a.tif')
    tifffile.imwrite(tmp_path / 'a_masks.tif', labels_of(0))
    with pytest.raises(InputError, match='none of 1 label files has a cell'):
        prepare(tmp_path, tmp_path / 'out')
