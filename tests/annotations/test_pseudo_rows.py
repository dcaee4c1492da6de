"""Pseudo-labelled rows of the training CSV, added and replaced."""

import numpy as np
import pytest

from sartorius.annotations.pseudo_rows import next_round, pseudo_details, replace_pseudo_rows
from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import TrainImage, read_train_csv, write_train_csv
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

FIVE = 'id,annotation,width,height,cell_type'
ADDED = ',source,fold,held_out'


def labelled(image_id, details, cells=1):
    """Cells of one pixel at the start of each row of a 4x3 image, cort."""
    crops = tuple(MaskCrop(np.ones((1, 1), dtype=bool), 0, row) for row in range(cells))
    return TrainImage(ImageAnnotations(image_id, (3, 4), crops, np.full(cells, 2)), 'cort', details)


def test_by_hand(tmp_path):
    (tmp_path / 'train.csv').write_text(f'{FIVE}\na,1 1,4,3,cort\na,,4,3,cort\n')
    images = [labelled('u, 1', pseudo_details(1, 0, (8, 100)), 2), labelled('u, 1', pseudo_details(1, None))]
    replace_pseudo_rows(tmp_path / 'train.csv', tmp_path / 'new' / 'out.csv', images)
    assert (tmp_path / 'new' / 'out.csv').read_text() == (
        f'{FIVE}{ADDED}\n'
        'a,1 1,4,3,cort,,,\n'
        'a,,4,3,cort,,,\n'
        '"u, 1",1 1,4,3,cort,pseudo round 1,0,8 images with 100 cells\n'
        '"u, 1",5 1,4,3,cort,pseudo round 1,0,8 images with 100 cells\n'
        '"u, 1",1 1,4,3,cort,pseudo round 1,all,\n'
    )


def test_rows_of_people_are_copied_to_the_byte(tmp_path):
    """Other columns in any order, needless quotes, pairs out of order, line breaks within a field, no last line end."""
    header = 'note,source,cell_type,"id",width,height,annotation,fold,held_out'
    rows = ['"x\r\ny",,cort,"a",4,3,6 1 1 1,7,', ',by hand,cort,b,4,3,1 1,2,', '"",,cort,a,4,3,,7,']
    text = '\r\n'.join([header, *rows])
    (tmp_path / 'train.csv').write_bytes(text.encode())
    replace_pseudo_rows(tmp_path / 'train.csv', tmp_path / 'out.csv', [labelled('u', pseudo_details(3, 1))])
    added = ',pseudo round 3,cort,u,4,3,1 1,1,\r\n'
    assert (tmp_path / 'out.csv').read_bytes().decode() == f'{text}\r\n{added}'


def test_rounds_replace_each_other(tmp_path):
    start, one, two = (tmp_path / f'{name}.csv' for name in ('train', 'one', 'two'))
    start.write_text(f'{FIVE}\na,1 1,4,3,cort\n')
    assert next_round(read_train_csv(start)) == 1
    replace_pseudo_rows(start, one, [labelled('u', pseudo_details(1, fold), 3) for fold in (0, 1)])
    assert next_round(read_train_csv(one)) == 2
    replace_pseudo_rows(one, two, [labelled('v', pseudo_details(2, 0))])
    table = read_train_csv(two)
    assert list(table.images) == ['a']
    assert [(image.cells.image_id, image.fold) for image in table.fold_images] == [('v', '0')]
    assert next_round(table) == 3
    # In place, and no labels: what is left are the rows of people.
    replace_pseudo_rows(two, two, [])
    assert two.read_text() == f'{FIVE}{ADDED}\na,1 1,4,3,cort,,,\n'


def test_reading_undoes_writing(tmp_path):
    (tmp_path / 'train.csv').write_text(f'{FIVE}\na,1 1,4,3,cort\n')
    images = [labelled('u', pseudo_details(1, fold, (8, 100)), fold + 1) for fold in range(3)]
    replace_pseudo_rows(tmp_path / 'train.csv', tmp_path / 'out.csv', images)
    table = read_train_csv(tmp_path / 'out.csv')
    assert [len(image.cells) for image in table.fold_images] == [1, 2, 3]
    assert [image.details for image in table.fold_images] == [image.details for image in images]
    write_train_csv(tmp_path / 'again.csv', [*table.images.values(), *table.fold_images])
    assert (tmp_path / 'again.csv').read_bytes() == (tmp_path / 'out.csv').read_bytes()
    with pytest.raises(InputError, match='image u would be written twice'):
        write_train_csv(tmp_path / 'again.csv', [images[0], images[0]])


def test_two_models_may_disagree_about_an_image(tmp_path):
    path = tmp_path / 'train.csv'
    rows = ['a,1 1,4,3,cort,,,', 'u,1 1,4,3,cort,x,0,', 'u,1 1,4,3,astro,x,1,', 'u,2 1,4,3,cort,x,0,']
    path.write_text('\n'.join([FIVE + ADDED, *rows]) + '\n')
    found = read_train_csv(path).fold_images
    assert [(image.cell_type, image.fold, len(image.cells)) for image in found] == [('cort', '0', 2), ('astro', '1', 1)]
    path.write_text('\n'.join([FIVE + ADDED, *rows, 'u,3 1,4,3,astro,x,0,']) + '\n')
    with pytest.raises(InputError, match="image u has cell_type 'cort' in line 3 and 'astro' in line 6"):
        read_train_csv(path)


def test_a_fold_of_rows_of_people_means_nothing(tmp_path):
    path = tmp_path / 'train.csv'
    path.write_text(f'{FIVE},fold\na,1 1,4,3,cort,any\n')
    table = read_train_csv(path)
    assert table.images['a'].fold == ''
    assert table.fold_images == ()


@pytest.mark.parametrize('fold', ['-1', '1.0', '01', 'none', 'ALL', '²'])
def test_folds_that_are_none(tmp_path, fold):
    path = tmp_path / 'train.csv'
    path.write_text(f'{FIVE},source,fold\na,1 1,4,3,cort,model,{fold}\n', encoding='utf-8')
    with pytest.raises(InputError, match=f"line 2, image a: fold is '{fold}'; give the number .*, 'all' for a model"):
        read_train_csv(path)


@pytest.mark.parametrize('name', ['train.csv', 'train_all_columns_sample.csv'])
def test_real_rows_are_copied(real_data, tmp_path, name):
    replace_pseudo_rows(real_data / name, tmp_path / 'out.csv', [labelled('u', pseudo_details(1, 0))])
    before = (real_data / name).read_text().splitlines()
    after = (tmp_path / 'out.csv').read_text().splitlines()
    assert after[0] == before[0] + ADDED
    assert after[1:-1] == [f'{line},,,' for line in before[1:]]
