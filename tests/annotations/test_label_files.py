"""Which files label which images."""

import json

import pytest

from sartorius.annotations.label_files import LabelOptions, find_labels
from sartorius.utils.errors import InputError, UsageError

LABELME = {'shapes': [], 'imagePath': 'a.tif'}
COCO = {'images': [], 'annotations': [], 'categories': []}


@pytest.fixture
def make(tmp_path):
    """Makes files below a folder, JSONs with content."""

    def make_files(*names, **contents):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for name, content in contents.items():
            (tmp_path / f'{name}.json').write_text(json.dumps(content))
        return tmp_path

    return make_files


def found_in(root, **options):
    folder = find_labels(LabelOptions(root, **options))
    return folder, {
        image_id: (file.path.relative_to(root).as_posix(), file.format) for image_id, file in folder.files.items()
    }


@pytest.mark.parametrize(
    ('label', 'form'),
    [
        ('a_masks.tif', 'masks'),
        ('a_cp_masks.png', 'masks'),
        ('A_Masks.TIF', 'masks'),
        ('a_labels.tiff', 'masks'),
        ('a.stardist.tif', 'masks'),
        ('masks/a.tif', 'masks'),
        ('labels/a.png', 'masks'),
        ('masks/a_masks.tif', 'masks'),
        ('a_seg.npy', 'seg'),
        ('a_rois.zip', 'rois'),
        ('a_RoiSet.zip', 'rois'),
        ('a.zip', 'rois'),
        ('a.roi', 'rois'),
        ('a.geojson', 'geojson'),
        ('a.tif.geojson', 'geojson'),
        ('labels/a.geojson', 'geojson'),
    ],
)
def test_labels_with_the_images(make, label, form):
    root = make('a.tif', label)
    folder, files = found_in(root)
    assert files == {'a': (label, form)} and list(folder.images) == ['a'] and not folder.without_image


def test_json_of_labelme_by_its_content(make):
    folder, files = found_in(make('a.tif', 'b.tif', a=LABELME, b={'note': 'of the microscope'}))
    assert files == {'a': ('a.json', 'labelme')} and not folder.coco


def test_folders_images_and_masks_side_by_side(make):
    root = make('set/images/a.tif', 'set/masks/a.tif', 'set/images/b.tif')
    assert found_in(root)[1] == {'set/images/a': ('set/masks/a.tif', 'masks')}


def test_equal_names_in_two_folders_are_two_images(make):
    root = make('A1/raw.tif', 'A1/raw_masks.tif', 'A2/raw.png', 'A2/raw.roi')
    assert found_in(root)[1] == {'A1/raw': ('A1/raw_masks.tif', 'masks'), 'A2/raw': ('A2/raw.roi', 'rois')}


@pytest.mark.parametrize('labels', ['elsewhere', 'in/annotated'])
def test_a_folder_of_labels_mirrors_that_of_images(make, labels):
    root = make(
        'in/A1/raw.tif', 'in/A2/raw.tif', f'{labels}/A1/raw.png', f'{labels}/A2/raw_rois.zip', f'{labels}/A3/x.tif'
    )
    folder = find_labels(LabelOptions(root / 'in', labels=root / labels))
    assert list(folder.images) == ['A1/raw', 'A2/raw']
    assert [file.path for file in folder.files.values()] == [
        root / labels / 'A1/raw.png',
        root / labels / 'A2/raw_rois.zip',
    ]
    assert folder.without_image == [root / labels / 'A3/x.tif']


@pytest.mark.parametrize(
    ('pattern', 'images', 'label'),
    [
        ('{name}_gt.png', ('a.tif', 'b.tif'), 'a_gt.png'),
        ('{name}.png', ('a.tif', 'b.tif'), 'a.png'),
        ('ids.png', ('a.tif',), 'ids.png'),
        ('gt-{name}.npy', ('a.tif', 'b.tif'), 'gt-a.npy'),
    ],
)
def test_a_pattern_of_names(make, pattern, images, label):
    folder, files = found_in(make(*images, label), label_name=pattern)
    assert [path.name for path in folder.images.values()] == list(images)
    assert files == {'a': (label, 'seg' if label.endswith('npy') else 'masks')}


def test_only_a_part_of_a_folder(make):
    root = make(*(f'set{number}/{name}' for number in (1, 10, 15) for name in ('raw.tif', 'ids.png')))
    folder, files = found_in(root, label_name='ids.png', only='^set(1|15)/')
    assert list(folder.images) == list(files) == ['set1/raw', 'set15/raw'] and folder.without_image == []


def test_several_label_files_of_an_image_are_told_apart_by_format(make):
    root = make('a.tif', 'a_masks.tif', 'a_rois.zip', 'a_overlay.png', 'a_cells.csv')
    with pytest.raises(InputError, match=r'a_masks.tif and .*a_rois.zip; choose with --format masks or --format rois'):
        find_labels(LabelOptions(root))
    folder, files = found_in(root, format='rois')
    assert files == {'a': ('a_rois.zip', 'rois')} and not folder.without_image and list(folder.images) == ['a']
    (root / 'a_cp_masks.png').touch()
    with pytest.raises(InputError, match='choose with --label-name, such as --label-name "{name}_masks.tif"'):
        find_labels(LabelOptions(root, format='masks'))
    assert found_in(root, label_name='{name}_masks.tif')[1] == {'a': ('a_masks.tif', 'masks')}


def test_coco_is_found_by_its_content(make):
    root = make('train/a.jpg', 'train/README.txt')
    (root / 'train' / '_annotations.coco.json').write_text(json.dumps(COCO))
    (root / 'prepared').mkdir()
    (root / 'prepared' / 'all.json').write_text(json.dumps(COCO))
    folder = find_labels(LabelOptions(root, skipped=root / 'prepared'))
    assert folder.coco == [root / 'train' / '_annotations.coco.json'] and not folder.files


def test_coco_beside_other_labels_is_told_apart_by_format(make):
    root = make('a.tif', 'a_masks.tif', coco=COCO)
    with pytest.raises(InputError, match='choose with --format masks or --format coco'):
        find_labels(LabelOptions(root))
    assert found_in(root, format='masks')[1] and not found_in(root, format='masks')[0].coco
    assert found_in(root, format='coco')[0].coco and not found_in(root, format='coco')[1]


def test_hidden_folders_are_passed_over(make):
    root = make('a.tif', 'out/a_masks.tif', 'out/.predict/images/a.json', 'out/.predict/b_masks.tif', '.git/c.tif')
    folder, found = found_in(root, labels=root / 'out')
    assert [path.name for path in folder.images.values()] == ['a.tif'] and folder.without_image == []
    assert found == {'a': ('out/a_masks.tif', 'masks')}


def test_labels_without_an_image_are_named(make):
    root = make('a.tif', 'a_masks.tif', 'b_masks.tif', 'c_seg.npy', 'd.geojson', 'backup.zip')
    folder, _ = found_in(root)
    assert [path.name for path in folder.without_image] == ['b_masks.tif', 'c_seg.npy', 'd.geojson']


@pytest.mark.parametrize(
    ('files', 'options', 'error', 'message'),
    [
        ((), {}, UsageError, 'no image in it'),
        (('a.tif',), {}, UsageError, 'no labels of any of 1 images were found'),
        (('a.tif', 'b_masks.tif'), {}, UsageError, '1 label files belong to no image, such as b_masks.tif'),
        (('a.tif',), {'label_name': '{name}_gt.png'}, UsageError, 'none of 1 images has a label file called'),
        (
            ('a.tif', 'a.png', 'a_masks.tif'),
            {},
            InputError,
            'a.png and a.tif would be one image.*--label-name "{name}.png"',
        ),
        (('a.tif', 'a.csv'), {'label_name': '{name}.csv'}, UsageError, 'not a kind of label file'),
        (('a.tif', 'a_masks.tif'), {'only': '^b/'}, UsageError, "a path in which --only '\\^b/' is found"),
        (('a.tif', 'a_masks.tif'), {'only': '('}, UsageError, r"--only '\(': no regular expression"),
    ],
)
def test_what_cannot_be_matched_is_one_sentence(make, files, options, error, message):
    with pytest.raises(error, match=message):
        find_labels(LabelOptions(make(*files), **options))


def test_missing_folders(tmp_path):
    with pytest.raises(UsageError, match='no such folder'):
        find_labels(LabelOptions(tmp_path / 'x'))
    with pytest.raises(UsageError, match='--labels names a folder'):
        find_labels(LabelOptions(tmp_path, labels=tmp_path / 'x'))
