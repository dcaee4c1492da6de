"""COCO files of other tools: what training and scoring, which share one reader, make of their oddities."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sartorius.annotations.reading import load_annotations, load_cell_types, load_groups
from sartorius.datasets.sartorius import SartoriusDataset
from sartorius.evaluation.metric import score_images
from sartorius.masks.crop import MaskCrop
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

# In an image of 60 x 40 px, A is the box 5, 5, 10, 8 (80 px) and B the box 30, 10, 12, 12 (144 px).
A, B = [5, 5, 15, 5, 15, 13, 5, 13], [30, 10, 42, 10, 42, 22, 30, 22]
RUNS_A = [5 * 40 + 5, *[8, 32] * 9, 8, 2400 - 5 * 40 - 5 - 9 * 40 - 8]
WINDOW_A, WINDOW_B = (5, 5, 15, 13), (30, 10, 42, 22)


def cell(number: int, segmentation: Any, **changes: Any) -> dict[str, Any]:
    return {'id': number, 'image_id': 1, 'category_id': 1, 'segmentation': segmentation, **changes}


def coco(*cells: dict[str, Any], **changes: Any) -> dict[str, Any]:
    names = ('shsy5y', 'astro', 'cort')
    return {
        'images': [{'id': 1, 'file_name': 'a.png', 'height': 40, 'width': 60}],
        'annotations': list(cells),
        'categories': [{'id': number, 'name': name} for number, name in enumerate(names, 1)],
        **changes,
    }


def write(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / 'cells.json'
    path.write_text(json.dumps(content))
    return path


def scored(path: Path) -> dict[str, list[tuple[int, ...]]]:
    return {name: [crop.window for crop in image.crops] for name, image in load_annotations(path).items()}


def trained(path: Path) -> dict[str, list[tuple[int, ...]]]:
    """Boxes of what a data set trains on."""
    dataset = SartoriusDataset(ann_file=str(path), pipeline=[])
    return {
        sample['img_id']: [tuple(cell['bbox']) for cell in sample['instances'] if not cell['ignore_flag']]
        for sample in (dataset.get_data_info(number) for number in range(len(dataset)))
    }


READERS = pytest.mark.parametrize('read', [scored, trained])
Reader = Callable[[Path], dict[str, list[tuple[int, ...]]]]


@READERS
@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (coco(cell(1, {'size': [40, 60], 'counts': RUNS_A}), cell(2, [B])), [WINDOW_A, WINDOW_B]),
        (coco(cell(1, A), cell(2, B)), [WINDOW_A, WINDOW_B]),
        # No bbox, or a wrong one: the mask's own box counts.
        (coco(cell(1, [A]), cell(2, [B], bbox=[0, 0, 1, 1], area=3)), [WINDOW_A, WINDOW_B]),
        # Annotations without pixels.
        (coco(cell(1, [], bbox=[5, 5, 10, 8]), cell(2, [B])), [WINDOW_B]),
        (coco(cell(1, [[1, 2, 3, 4]]), cell(2, None), cell(3, [B])), [WINDOW_B]),
        (coco(cell(1, {'size': [40, 60], 'counts': [2400]}), cell(2, [B])), [WINDOW_B]),
        # A crowd region beside a cell.
        (coco(cell(1, [A], iscrowd=0), cell(2, [B], iscrowd=1)), [WINDOW_A]),
        # A root category above the others, which no annotation uses.
        (coco(cell(1, [A]), categories=[{'id': 0, 'name': 'cells'}, {'id': 1, 'name': 'cort'}]), [WINDOW_A]),
        # One category listed twice is still one.
        (coco(cell(1, [A]), categories=[{'id': 1, 'name': 'cort'}, {'id': 1, 'name': 'cort'}]), [WINDOW_A]),
    ],
)
def test_cells(tmp_path: Path, read: Reader, content: dict[str, Any], expected: list[tuple[int, ...]]) -> None:
    assert read(write(tmp_path, content)) == {'a': expected}


@READERS
@pytest.mark.parametrize(
    ('name', 'image_id'),
    [
        (r'images\1\a.png', 'images/1/a'),
        (r'C:\data\a.PNG', 'data/a'),
        ('./a.png', 'a'),
        ('images/1/a.png', 'images/1/a'),
    ],
)
def test_separators_of_any_system(tmp_path: Path, read: Reader, name: str, image_id: str) -> None:
    images = [{'id': 1, 'file_name': name, 'height': 40, 'width': 60}]
    path = write(tmp_path, coco(cell(1, [A]), images=images))
    assert read(path) == {image_id: [WINDOW_A]}
    assert load_groups(path) == {image_id: image_id}
    assert load_cell_types(path) == {image_id: 'shsy5y'}
    (sample,) = SartoriusDataset(ann_file=str(path), data_root='root', pipeline=[]).load_data_list()
    assert sample['img_path'] == str(Path('root', name.replace('\\', '/')))


@pytest.mark.parametrize('name', ['../a.png', '/elsewhere/a.png'])
def test_images_outside_the_data_root_are_not_trained_on(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, coco(cell(1, [A]), images=[{'id': 1, 'file_name': name, 'height': 40, 'width': 60}]))
    with pytest.raises(InputError, match=f"the image file '{name}' lies outside root; name the folder above both"):
        SartoriusDataset(ann_file=str(path), data_root='root', pipeline=[]).load_data_list()


def image(number: int, name: str, **changes: Any) -> dict[str, Any]:
    return {'id': number, 'file_name': name, 'height': 40, 'width': 60, **changes}


@READERS
def test_two_files_of_one_name_are_two_images(tmp_path: Path, read: Reader) -> None:
    images = [image(1, 'A1/img.tif'), image(2, 'A2/img.tif')]
    path = write(tmp_path, coco(cell(1, [A], image_id=1), cell(2, [B], image_id=2), images=images))
    assert read(path) == {'A1/img': [WINDOW_A], 'A2/img': [WINDOW_B]}


@READERS
def test_an_image_may_say_its_own_id(tmp_path: Path, read: Reader) -> None:
    images = [image(1, 'A1/img.tif', image_id='A1'), image(2, 'A2/img.tif', image_id=7)]  # a number is none
    path = write(tmp_path, coco(cell(1, [A], image_id=1), cell(2, [B], image_id=2), images=images))
    assert read(path) == {'A1': [WINDOW_A], 'A2/img': [WINDOW_B]}
    assert load_groups(path) == {'A1': 'A1', 'A2/img': 'A2/img'}


@READERS
@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (coco(images=[image(1, 'a.png'), image(1, 'b.png')]), r'two images have the id 1: a\.png and b\.png'),
        (
            coco(categories=[{'id': 1, 'name': 'cort'}, {'id': 1, 'name': 'astro'}]),
            'two categories have the id 1: cort and astro',
        ),
        (
            coco(images=[image(1, 'x/a.png'), image(2, r'.\x\a.tif')]),
            r'two images are called x/a \(x/a\.png and \./x/a\.tif\)',
        ),
        (
            coco(images=[image(1, 'a.png', height=None, width=None)]),
            r'image a\.png: its height is None and its width N',
        ),
        (coco(images=[image(1, 'a.png', height=0)]), r'image a\.png: its height is 0'),
        (coco(images=[image(1, 'a.png', width=59.5)]), r'image a\.png: .* its width 59\.5'),
        (coco(images=[image(1, None)]), 'image 1: its file_name is None'),
        (coco(images=[image(1, '../..')]), "image 1: its file_name is '../..', not"),
        (coco(images=[image(1, 'a\n.png')]), r"image 'a\\n\.png': 'a\\n' is no image id"),
        (coco(images=[image(1, 'a.png', image_id='../a')]), r"image 'a\.png': '\.\./a' is no image id"),
        (coco(images=[image(1, 'x/a.png', image_id='a'), image(2, 'a.png')]), 'two images are called a '),
        (coco(images=[image(None, 'a.png')]), 'has the id None'),
        (coco(images=[image(True, 'a.png')]), 'has the id True'),
        (coco(images=[image(1, 'a.png'), image('1', 'b.png')]), r"two images have the id 1 and '1': a\.png and b\.png"),
        (coco(images=[image(1, 'a.png', height=10**9)]), "image 'a.png': 60x1000000000 pixels are more than"),
        (coco(images=[image(1, 'a.png', group=[1])]), r'its group is \[1\], which is no text'),
        (coco(categories=[{'id': 1, 'name': 5}]), 'category 1: its name is 5'),
        (coco(cell(7, [A], image_id='1')), "annotation 7: its image '1' is not among the images, which have 1; write"),
        (
            coco(cell(7, [A], category_id=1.0)),
            'annotation 7: its category 1.0 is not among the categories, which have 1',
        ),
        (coco(cell(7, [A], category_id=True)), 'annotation 7: its category True is not among'),
        (coco(cell(1, [A], iscrowd=1), cell(2, [B], iscrowd=1)), 'all 2 annotations are crowd regions'),
        (coco(cell(7, [A], iscrowd='yes')), "annotation 7: its iscrowd is 'yes'"),
        (coco(cell(7, [A[:-1]])), 'annotation 7: its segmentation has a polygon of 7 values'),
        (
            coco(cell(7, {'size': [60, 40], 'counts': RUNS_A})),
            'annotation 7: its mask is 40x60 pixels',
        ),
        (coco(cell(7, [A], category_id=0)), 'annotation 7: its category 0 is not among'),
    ],
)
def test_refused_in_one_sentence(tmp_path: Path, read: Reader, content: dict[str, Any], message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert str(error.value).startswith(f'{path}: ')


@pytest.mark.parametrize('read', [lambda path: load_annotations(path, CELL_TYPES), trained], ids=['scored', 'trained'])
def test_a_category_that_is_none_of_the_given_classes_is_refused(tmp_path: Path, read: Reader) -> None:
    """Without given classes, the file's own are read."""
    categories = [{'id': 1, 'name': 'cells'}, {'id': 2, 'name': 'cort'}]
    path = write(tmp_path, coco(cell(7, [A]), categories=categories))
    assert load_annotations(path).classes == ('cells', 'cort')
    with pytest.raises(InputError, match="unknown category 'cells'; the classes are shsy5y, astro, cort") as error:
        read(path)
    assert str(error.value).startswith(f'{path}: ')


def test_what_is_dropped_or_ignored_is_counted_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cells = [cell(1, [A, [1, 2, 3, 4]]), cell(2, []), cell(3, [B], iscrowd=1)]
    path = write(tmp_path, coco(*cells, categories=[{'id': 0, 'name': 'cells'}, {'id': 1, 'name': 'cort'}]))
    assert scored(path) == {'a': [WINDOW_A]}
    assert caplog.messages == [
        f'{path}: 1 of 3 annotations have no pixels (such as an empty segmentation); they are dropped',
        f'{path}: 1 polygons have fewer than three points and cover no pixel; they are dropped',
        f'{path}: 1 of 3 annotations are crowd regions (iscrowd 1); training and scoring ignore them',
        f'{path}: 1 categories are not among the classes and no annotation uses them; they are ignored',
    ]
    caplog.clear()
    scored(write(tmp_path, coco(cell(1, [A]))))
    assert not caplog.messages


def test_cells_outside_and_at_the_border_are_told_from_empty_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside, across = [value + 70 for value in A], [55, 5, 70, 5, 70, 13, 55, 13]
    at_border = [50, 30, 60.5, 30, 60.5, 40.5, 50, 40.5]  # As tools write that round to half pixels.
    path = write(tmp_path, coco(cell(1, [A]), cell(2, [outside]), cell(3, [across]), cell(4, [at_border]), cell(5, [])))
    assert scored(path) == {'a': [WINDOW_A, (55, 5, 60, 13), (50, 30, 60, 40)]}
    assert caplog.messages == [
        f'{path}: 1 of 5 annotations have no pixels (such as an empty segmentation); they are dropped',
        f'{path}: 1 of 5 annotations lie outside their image; they are dropped',
        f'{path}: 1 of 5 annotations reach beyond their image; they are cut at its border',
    ]


@pytest.mark.slow
def test_truth_against_itself_scores_1_whatever_is_dropped(tmp_path: Path) -> None:
    """Ten empty masks once cost .04: training and scoring drop the same, so that none is a miss."""
    path = write(tmp_path, coco(cell(0, [A]), *(cell(number, []) for number in range(1, 11)), cell(11, [B], iscrowd=1)))
    gt = load_annotations(path)
    assert score_images(gt, {'a': gt['a'].crops})[['n_gt', 'score']].values.tolist() == [[1, 1]]
    instances = SartoriusDataset(ann_file=str(path), pipeline=[]).get_data_info(0)['instances']
    assert [one['ignore_flag'] for one in instances] == [0, 1]


def test_the_data_set_says_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr('sartorius.datasets.sartorius.print_log', lambda text, **_: said.append(text))
    SartoriusDataset(ann_file=str(write(tmp_path, coco(cell(1, [A]), cell(2, [])))), pipeline=[])
    assert len(said) == 1 and '1 of 2 annotations have no pixels' in said[0]


@pytest.mark.slow
def test_a_crowd_region_is_neither_a_miss_nor_a_false_positive(tmp_path: Path) -> None:
    gt = load_annotations(write(tmp_path, coco(cell(1, [A]), cell(2, [B], iscrowd=1))))
    inside = MaskCrop(gt['a'].crowd[0].mask[:6, :6], 32, 12)
    for pred in ([gt['a'].crops[0]], [gt['a'].crops[0], inside]):
        assert score_images(gt, {'a': pred})['score'].tolist() == [1.0]


def test_a_crowd_region_is_an_ignored_instance_of_training(tmp_path: Path) -> None:
    content = coco(cell(1, [A]), cell(2, [B], iscrowd=1), cell(3, [B], iscrowd=1, image_id=2))
    content['images'].append(image(2, 'b.png'))
    path = str(write(tmp_path, content))
    dataset = SartoriusDataset(ann_file=path, pipeline=[])
    assert [one['ignore_flag'] for one in dataset.get_data_info(0)['instances']] == [0, 1]
    # An image of crowd regions alone has no cells to train on.
    filtered = SartoriusDataset(ann_file=path, pipeline=[], filter_cfg={'filter_empty_gt': True})
    assert (len(dataset), len(filtered)) == (2, 1)


def test_a_list_of_images_to_predict_on_needs_no_annotations(tmp_path: Path) -> None:
    content = coco()
    del content['annotations']
    path = write(tmp_path, content)
    assert len(SartoriusDataset(ann_file=str(path), pipeline=[], test_mode=True)) == 1
    for read in (scored, trained):
        with pytest.raises(InputError, match="the list 'annotations' is missing"):
            read(path)
