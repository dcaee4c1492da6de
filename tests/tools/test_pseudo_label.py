"""tools/data/pseudo_label.py: fold-safety, rounds, balance, and what it says of bad input."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sartorius.annotations.preparation import PreparationOptions, prepare_sartorius
from sartorius.annotations.reading import load_annotations, load_groups
from sartorius.annotations.train_csv import read_train_csv
from sartorius.fusion import fuse
from sartorius.predictions.provenance import DataRecord, ModelSource, RunData, RunRecord
from sartorius.predictions.store import load_predictions, save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import run_tool

SIZE = (40, 60)
NINE = 'id,annotation,width,height,cell_type,plate_time,sample_date,sample_id,elapsed_timedelta'
EVERYTHING = 'pseudo_labels = dict(cell_scores=0, max_unsure=1, min_mean_scores=0, min_votes=0, min_cells=1)\n'
POSTPROCESS = "postprocess = [dict(type='VoteClass'), dict(type='ScoreThreshold', threshold=.2)]\n"


def found(image_id: str, width: int, cell_type: str = 'cort', scores=(0.9, 0.8)) -> ImagePredictions:
    """Cells ``width`` px wide and 4 high, one below the other: the width tells which fold's model found them."""
    tops = 5.0 * np.arange(len(scores))
    return ImagePredictions(
        image_id=image_id,
        size=SIZE,
        boxes=np.stack([0 * tops, tops, 0 * tops + width, tops + 4], axis=1).astype(np.float32),
        scores=np.array(scores, dtype=np.float32),
        labels=np.full(len(scores), CELL_TYPES.index(cell_type)),
        soft_masks=np.ones((len(scores), 4, 4), dtype=np.float32),
    )


def origin(fold: int | None, val: tuple[int, int] | None = None) -> ModelSource:
    """Source of a model that was trained with a fold held out."""
    train = DataRecord(file=f'fold{fold}_train.json', split='train', fold=fold)
    data = RunData(train=train, val=DataRecord(images=val[0], cells=val[1]) if val else DataRecord())
    return ModelSource(split='unlabelled', run=RunRecord(fold=fold, data=data))


@pytest.fixture
def label(repo_root, tmp_path, monkeypatch, capsys):
    """Runs the command in a folder with rules that believe everything; gives exit code, output and errors."""
    main = runpy.run_path(str(repo_root / 'tools' / 'data/pseudo_label.py'))['main']
    monkeypatch.chdir(tmp_path)
    Path('believe.py').write_text(EVERYTHING)
    Path('chain.py').write_text(POSTPROCESS)

    def run(*words, train='train.csv', out='out.csv', rules='believe.py') -> tuple[int, str, str]:
        words = [*words, '--train-csv', train, '--out', out, '--rules', rules, '--postprocess', 'chain.py']
        try:
            run_tool(lambda: main([str(word) for word in words]))
            code = 0
        except SystemExit as end:
            code = end.code
        return (code, *capsys.readouterr())

    return run


def write_wells(generator, wells: int) -> list[str]:
    """A training CSV of wells with up to three images each; the wells' names."""
    names, lines = [], [NINE]
    for number in range(wells):
        cell_type = CELL_TYPES[number % 3]
        names.append(f'{cell_type}[x]_{"ABCD"[number % 4]}{number + 1}')
        for crop in range(generator.integers(1, 4)):
            tail = f'60,40,{cell_type},1h,2020-01-01,{names[-1]}-1_Vessel-7_Ph_{crop},0 days'
            lines += [f'im{number}x{crop},{1 + 60 * cell} 3,{tail}' for cell in range(generator.integers(1, 5))]
    Path('train.csv').write_text('\n'.join(lines) + '\n')
    return names


def prepare(path: str, folds: int, seed: int, out: str) -> dict[str, dict]:
    """Prepares a CSV; images by id of each JSON."""
    settings = PreparationOptions(Path(), csv_paths=(Path(path),), folds=folds, seed=seed, check_images=False)
    prepare_sartorius(settings, Path(out))
    return {path.stem: load_annotations(path) for path in Path(out).glob('*.json')}


def widths(images) -> dict[str, set[int]]:
    """Widths of the cells of each image that nobody annotated."""
    return {
        image_id: {crop.tight().mask.shape[1] for crop in image.crops}
        for image_id, image in images.items()
        if not image_id.startswith(('im', 'cort0', 'cort1', 'cort2', 'cort3'))
    }


@pytest.mark.parametrize('seed', range(4))
def test_no_model_labels_an_image_for_another_fold_than_its_own(label, seed):
    """Random wells, folds, models and images over two rounds: what trains fold k came from models held out from k."""
    generator = np.random.default_rng(seed)
    folds = int(generator.integers(2, 6))
    wells = write_wells(generator, wells=int(generator.integers(folds, 14)))
    # Half of the unlabelled images lie in wells of annotated ones.
    names = [wells[n % len(wells)] if n % 2 else f'cort[y]_E{n}' for n in range(12)]
    unlabelled = [f'{well}-3_Vessel-9_Ph_{n}_2020-10-08' for n, well in enumerate(names)]
    first = prepare('train.csv', folds, seed, 'round0')
    previous = 'train.csv'
    for number in (1, 2):
        files = []
        for fold in generator.permutation(folds).tolist():
            validated = first[f'fold{fold}_val']
            source = origin(fold, (len(validated), sum(map(len, validated.values()))))
            # The width tells fold and round.
            sets = [
                PredictionSet(tuple(found(one, 10 * number + fold, scores=scores) for one in unlabelled), source=source)
                for scores in ((0.9, 0.8), (0.7, 0.6))
            ]
            fused = generator.random() < 0.5
            save_predictions(f'{fold}.npz', fuse(sets) if fused else sets[0])
            files.append(f'{fold}.npz')
        code, _, errors = label(*files, '--balance', 'none', train=previous, out=f'{number}.csv')
        assert code == 0, errors
        images, previous = prepare(f'{number}.csv', folds, seed, f'round{number}'), f'{number}.csv'
        assert widths(images['all']) == {}
        groups = load_groups(f'round{number}/all.json')
        for fold in range(folds):
            train, val = images[f'fold{fold}_train'], images[f'fold{fold}_val']
            labels = widths(train)
            assert set(map(frozenset, labels.values())) == {frozenset({10 * number + fold})}
            # The folds of round 0, byte for byte, and none of their images or wells in training.
            assert list(val) == list(first[f'fold{fold}_val'])
            assert [len(image) for image in val.values()] == [len(one) for one in first[f'fold{fold}_val'].values()]
            held_out = {groups[image_id] for image_id in val}
            assert not held_out & {image_id.split('-')[0] for image_id in labels}
            assert not val.keys() & train.keys()
            assert labels.keys() == {one for one in unlabelled if one.split('-')[0] not in held_out}


def test_other_folds_than_those_of_the_models_are_refused(label):
    """Folds drawn anew after the labels were made would validate on images that their models trained on."""
    write_wells(np.random.default_rng(0), wells=12)
    val = prepare('train.csv', 3, 0, 'round0')['fold0_val']
    source = origin(0, (len(val), sum(map(len, val.values()))))
    save_predictions('0.npz', PredictionSet((found('u', 10),), source=source))
    assert label('0.npz', '--balance', 'none')[0] == 0
    assert 'u' in prepare('out.csv', 3, 0, 'round1')['fold0_train']
    with pytest.raises(ValueError, match='image u is pseudo-labelled for fold 0 by models that were held out from'):
        prepare('out.csv', 3, 1, 'round1')
    with pytest.raises(ValueError, match='Give the --folds and --seed of the first round'):
        prepare('out.csv', 2, 0, 'round1')


def write_csv(**images: int) -> None:
    """A training CSV of so many images of one cell a class."""
    rows = [f'{name}{n},1 1,60,40,{name}' for name, count in images.items() for n in range(count)]
    Path('train.csv').write_text('\n'.join(['id,annotation,width,height,cell_type', *rows]) + '\n')


def test_rows_summary_and_balance_by_hand(label):
    write_csv(cort=2, astro=1)
    images = (
        found('u1', 10, 'cort', (0.9, 0.7)),
        found('u2', 10, 'cort', (0.9, 0.8)),
        found('u3', 10, 'cort', (0.9, 0.9)),
        found('u4', 10, 'astro', (0.5,)),
        found('cort0', 10),
        found('u5', 10, scores=(0.1,)),
    )
    save_predictions('0.npz', PredictionSet(images, source=origin(3, (7, 8))))
    code, output, _ = label('0.npz')
    assert code == 0
    rows = Path('out.csv').read_text().splitlines()
    assert rows[:4] == [
        'id,annotation,width,height,cell_type,source,fold,held_out',
        'cort0,1 1,60,40,cort,,,',
        'cort1,1 1,60,40,cort,,,',
        'astro0,1 1,60,40,astro,,,',
    ]
    # Two cort images for one astro image: the two most confident.
    assert [row.split(',')[0] for row in rows[4:]] == ['u2', 'u2', 'u3', 'u3', 'u4']
    assert rows[-1] == 'u4,1 10 61 10 121 10 181 10,60,40,astro,pseudo round 1,3,7 images with 8 cells'
    assert Path('out.md').read_text() in output
    rows = [' '.join(line.split()) for line in output.splitlines() if line.startswith('|')]
    assert rows == [
        '| class | images | rows in the CSV | no cells | dropped for balance | used | cells |',
        '| :------- | -----: | --------------: | -------: | ------------------: | ---: | ----: |',
        '| astro | 1 | 0 | 0 | 0 | 1 | 1 |',
        '| cort | 3 | 0 | 0 | 1 | 2 | 4 |',
        '| no class | 2 | 1 | 1 | 0 | 0 | 0 |',
        '| all | 6 | 1 | 1 | 1 | 3 | 5 |',
        '| class | annotated images | with pseudo-labels | annotated cells | with pseudo-labels |',
        '| :---- | ---------------: | -----------------: | --------------: | -----------------: |',
        '| astro | 1 (33.3%) | 2 (33.3%) | 1 (33.3%) | 2 (25.0%) |',
        '| cort | 2 (66.7%) | 4 (66.7%) | 2 (66.7%) | 6 (75.0%) |',
    ]
    assert '## Fold 3: 0.npz' in output
    assert 'Rules: cell_scores 0; max_unsure 1; ' in output
    assert '{"type": "ScoreThreshold", "threshold": 0.2}' in output
    assert 'python tools/prepare_sartorius.py --csv out.csv --out FOLDER' in output


def test_labels_for_all_data_go_nowhere_else(label):
    write_csv(cort=4)
    save_predictions('0.npz', PredictionSet((found('u', 10),), source=origin(0)))
    save_predictions('1.npz', PredictionSet((found('u', 11, scores=(0.7, 0.6)),), source=origin(1)))
    save_predictions('all.npz', fuse([load_predictions('0.npz'), load_predictions('1.npz')]))
    code, _, errors = label('all.npz')
    assert code == 1
    assert 'all.npz, member set 1 was held out from fold 0, all.npz, member set 2 from fold 1' in errors
    code, output, _ = label('1.npz', '0.npz', '--all-data', 'all.npz')
    assert code == 0
    assert '## All data: all.npz' in output
    images = prepare('out.csv', 2, 0, 'round1')
    assert widths(images['fold0_train']) == {'u': {10}}
    assert widths(images['fold1_train']) == {'u': {11}}
    assert len(widths(images['all'])) == 1
    assert [image.fold for image in read_train_csv('out.csv').fold_images] == ['1', '0', 'all']


def test_rounds_count_up_and_replace(label):
    write_csv(cort=3)
    save_predictions('0.npz', PredictionSet((found('u', 10), found('v', 10)), source=origin(0)))
    save_predictions('1.npz', PredictionSet((found('u', 12),), source=origin(0)))
    assert label('0.npz', out='one.csv')[0] == 0
    code, output, _ = label('1.npz', train='one.csv', out='two.csv')
    assert code == 0
    assert output.startswith('# Pseudo-labels, round 2')
    (image,) = read_train_csv('two.csv').fold_images
    assert image.details['source'] == 'pseudo round 2'
    assert image.cells.crops[0].mask.shape[1] == 12
    # The first round's CSV in its own place, and a round that is named.
    assert label('1.npz', '--round', 7, train='one.csv', out='one.csv')[0] == 0
    assert Path('one.csv').read_text() == Path('two.csv').read_text().replace('round 2', 'round 7')


def test_says_why_no_image_is_used(label):
    write_csv(cort=3, astro=1)
    save_predictions('0.npz', PredictionSet((found('u', 10),), source=origin(0)))
    code, output, _ = label('0.npz')
    assert code == 0
    assert '**No image is used**: no image of astro passes the rules' in output
    assert len(read_train_csv('out.csv').fold_images) == 0
    assert 'the balance allows none' in label('0.npz', '--balance', '.1')[1]
    Path('strict.py').write_text(EVERYTHING.replace('min_cells=1', 'min_cells=3'))
    assert '**No image is used**: no image passes the rules' in label('0.npz', rules='strict.py')[1]


@pytest.mark.parametrize(
    ('words', 'code', 'message'),
    [
        ([], 2, 'name predictions of images without annotations, one file a fold'),
        (['0.npz', 'again.npz'], 1, 'again.npz and 0.npz are both for fold 0; fuse them first with tools/ensemble.py'),
        (['0.npz', '0.npz'], 1, '0.npz and 0.npz are both for fold 0'),
        (['val.npz'], 1, "val.npz: predictions of the split 'val'; predict with --split unlabelled"),
        (['--all-data', 'val.npz'], 1, "val.npz: predictions of the split 'val'"),
        (['bare.npz'], 1, 'bare.npz: no record of the fold'),
        (['0.npz', '--fold', '1'], 1, '0.npz: was held out from fold 0, not from --fold 1'),
        (['known.npz'], 1, 'known.npz: all 1 images have rows in train.csv'),
        (['gone.npz'], 1, 'gone.npz: No such file'),
        (['train.csv'], 1, 'train.csv: truncated, damaged or no predictions file'),
        (['0.npz', '--balance', 'trian'], 2, "'trian' is neither train, equal or none, nor a number above 0"),
        (['0.npz', '--balance', '0'], 2, "'0' is neither train"),
        (['0.npz', '--balance', 'nan'], 2, "'nan' is neither train"),
        (['0.npz', '--fold', '-1'], 2, '--fold -1: must be 0 or more'),
        (['0.npz', '--round', '0'], 2, '--round 0: must be 1 or more'),
        (['0.npz', '--out', 'out.json'], 2, 'out.json: a training CSV must end in .csv'),
    ],
)
def test_bad_input_leaves_nothing(label, words, code, message):
    write_csv(cort=3)
    save_predictions('0.npz', PredictionSet((found('u', 10),), source=origin(0)))
    save_predictions('again.npz', PredictionSet((found('v', 10),), source=origin(0)))
    save_predictions('val.npz', PredictionSet((found('u', 10),), source=replace(origin(0), split='val')))
    save_predictions('bare.npz', PredictionSet((found('u', 10),)))
    save_predictions('known.npz', PredictionSet((found('cort0', 10),), source=origin(0)))
    before = set(Path().iterdir())
    out = words[words.index('--out') + 1] if '--out' in words else 'out.csv'
    found_code, _, errors = label(*words, out=out)
    assert found_code == code
    assert message in errors
    assert 'Traceback' not in errors
    assert set(Path().iterdir()) == before


def test_a_fold_by_hand(label):
    write_csv(cort=3)
    save_predictions('bare.npz', PredictionSet((found('u', 10),)))
    assert label('bare.npz', '--fold', 1)[0] == 0
    assert [image.fold for image in read_train_csv('out.csv').fold_images] == ['1']


@pytest.mark.slow
def test_real_data(label, real_data):
    """The competition's own CSV: all rows stay as they are, and its folds too."""
    names = sorted(path.stem for path in (real_data / 'train_semi_supervised').glob('*.png'))
    if len(names) < 2:
        pytest.skip('needs two images in train_semi_supervised/')
    train = real_data / 'train.csv'
    size = (520, 704)
    images = []
    for number, name in enumerate(names):
        image = found(name, 20, CELL_TYPES[number % 3])
        images.append(ImagePredictions(name, size, image.boxes, image.scores, image.labels, image.soft_masks))
    save_predictions('0.npz', PredictionSet(tuple(images), source=origin(0)))
    assert label('0.npz', '--balance', 'none', train=train)[0] == 0
    before, after = train.read_text().splitlines(), Path('out.csv').read_text().splitlines()
    assert after[1 : len(before)] == [f'{line},,,' for line in before[1:]]
    prepare_sartorius(PreparationOptions(real_data), Path('round0'))
    prepare_sartorius(PreparationOptions(real_data, csv_paths=(Path('out.csv'),)), Path('round1'))
    for fold in range(5):
        old, new = (json.loads(Path(f'round{n}/fold{fold}_val.json').read_text()) for n in (0, 1))
        assert old['images'] == new['images'] and old['annotations'] == new['annotations']
        train_ids = load_annotations(f'round1/fold{fold}_train.json').keys()
        assert (set(names) <= train_ids) == (fold == 0)
