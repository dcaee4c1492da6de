"""Folders of images through a stand-in for a model: what is written, kept, refused, and what a kill leaves behind."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tifffile
from mmengine.config import Config
from scipy import ndimage

from sartorius.engine.image_prediction import folder as folder_module
from sartorius.engine.image_prediction.folder import PredictOptions, RunResult, predict_images
from sartorius.engine.image_prediction.model import CellModel, ImageOptions, with_min_score
from sartorius.engine.image_prediction.records import RunFolder
from sartorius.inference.predictor import PassReport
from sartorius.postprocess.chain import build_chain
from sartorius.predictions.store import load_predictions
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError, UsageError

AREA = 8 * 15 - 4 + 5 * 5
DEFAULT = ImageOptions()
CLASSES = ('small', 'large')
CHAIN = [dict(type='ScoreThreshold', threshold=0.3), dict(type='MaskThreshold', threshold=0.5)]


class BlobModel(CellModel):
    """Finds bright rectangles; the score is their grey level, the class their size."""

    def __init__(self, *_: object) -> None:
        self.name, self.path, self.sha256, self.config_sha256 = 'blobs', Path('blobs.pth'), 'a' * 64, ''
        self.classes, self.postprocess, self.pixel_size_um, self.run = CLASSES, CHAIN, 1.0, None
        self.predictor = SimpleNamespace(detector_config=Config(dict(model=dict(test_cfg=dict(max_per_img=3)))))
        self.calls = []

    def check(self, options: ImageOptions) -> None:
        self.chain(options)

    def _predict_frame(self, pixels, frame, factor, options):
        self.calls.append(frame)
        grey = pixels if pixels.ndim == 2 else pixels[..., 1]
        found, _ = ndimage.label(grey > 20)
        places = ndimage.find_objects(found)
        boxes = [[x.start, y.start, x.stop, y.stop] for y, x in places]
        predictions = ImagePredictions(
            image_id=frame,
            size=grey.shape,
            boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
            scores=np.array([grey[place].max() / 255 for place in places], dtype=np.float32),
            labels=np.array([grey[place].size > 30 for place in places], dtype=np.int64),
            soft_masks=np.ones((len(places), 4, 4), dtype=np.float32),
        )
        return predictions, PassReport(len(places) >= 3, 0), False


def blobs(*grey: int, size: tuple[int, int] = (24, 60)) -> np.ndarray:
    """A black image with a square of 5 px for each grey level; the first is 8 px wide and lies at the border."""
    image = np.zeros(size, np.uint8)
    for number, level in enumerate(grey):
        image[0 if number == 0 else 10 : 15, 12 * number : 12 * number + (8 if number == 0 else 5)] = level
    return image


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """8 and 16 bits, a movie with pixel size, an image without cells, a damaged file, two of one name."""
    root = tmp_path / 'images'
    for name in ('A1', 'A2'):
        (root / name).mkdir(parents=True)
        cv2.imwrite(str(root / name / 'img.png'), blobs(255, 90, 60) if name == 'A1' else blobs(255))
    cv2.imwrite(str(root / 'empty.png'), blobs())
    tifffile.imwrite(root / 'deep.tif', blobs(255, 90).astype(np.uint16) * 16)
    movie = np.stack([blobs(200, 100), blobs(200), blobs()])
    tifffile.imwrite(
        root / 'movie.tif',
        movie,
        imagej=True,
        resolution=(2, 2),
        metadata={'axes': 'TYX', 'unit': 'um', 'finterval': 60},
    )
    (root / 'torn.tif').write_bytes((root / 'deep.tif').read_bytes()[:200])
    return root


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> BlobModel:
    model = BlobModel()
    monkeypatch.setattr(folder_module, 'CellModel', lambda *_: model)
    return model


def predict(root: Path, out: Path, how: ImageOptions = DEFAULT, **options: object) -> RunResult:
    return predict_images(PredictOptions(out, (str(root),), recursive=True, **options), how)


def summary_of(out: Path) -> list[dict[str, str]]:
    with (out / 'summary.csv').open(encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def files_of(out: Path, ignored: tuple[str, ...] = ('lock',)) -> dict[str, bytes]:
    """Content of every file, hidden ones too, but for the seconds of predictions and times of change."""
    content = {}
    for path in sorted(out.rglob('*')):
        if path.is_file() and path.name not in ignored:
            data = path.read_bytes()
            if path.suffix == '.json' and 'images' in path.parts:
                record = json.loads(data)
                record['frames'] = [{**row, 'seconds': 0} for row in record.get('frames', [])]
                for state in record.get('outputs', {}).values():
                    state['changed'] = 0
                data = json.dumps(record).encode()
            content[path.relative_to(out).as_posix()] = data
    return content


def test_a_folder_of_all_kinds(images: Path, model: BlobModel, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    result = predict(images, out, formats=('masks', 'rois', 'table', 'predictions'))
    assert [record.image for record in result.records] == ['A1/img', 'A2/img', 'deep', 'empty', 'movie', 'torn']
    (torn,) = result.failed
    assert torn.image == 'torn' and 'torn.tif' in torn.message and not (out / 'torn_masks.tif').exists()
    # Three cells of A1/img have scores 1, .35 and .24; the chain keeps two. Grids round the corners of the larger.
    labels = tifffile.imread(out / 'A1' / 'img_masks.tif')
    assert np.unique(labels).tolist() == [0, 1, 2] and (labels > 0).sum() == AREA
    assert (tifffile.imread(out / 'empty_masks.tif') == 0).all()
    assert tifffile.imread(out / 'movie_masks.tif').shape == (3, 24, 60)
    page = (out / 'index.html').read_text(encoding='utf-8')
    assert 'index_files/A1/img_cells.webp' in page and 'torn.tif is truncated' in page
    rows = summary_of(out)
    assert [(row['image'], row['frame'], row['status'], row['cells']) for row in rows] == [
        ('A1/img', '0', 'done', '2'),
        ('A2/img', '0', 'done', '1'),
        ('deep', '0', 'done', '2'),
        ('empty', '0', 'done', '0'),
        ('movie', '0', 'done', '2'),
        ('movie', '1', 'done', '1'),
        ('movie', '2', 'done', '0'),
        ('torn', '', 'failed', ''),
    ]
    first, movie = rows[0], rows[4]
    assert (first['cells_small'], first['cells_large'], first['limit_reached']) == ('1', '1', '1')
    assert float(first['covered']) == pytest.approx(AREA / (24 * 60), abs=1e-5)
    assert (first['pixel_size_um'], first['scale']) == ('', '1') and 'not scaled' in first['message']
    assert (movie['pixel_size_um'], movie['pixel_size_from'], movie['scale']) == ('0.5', 'ImageJ', '0.5')
    with (out / 'cells.csv').open() as file:
        cells = list(csv.DictReader(file))
    assert [row['image'] for row in cells] == ['A1/img'] * 2 + ['A2/img'] + ['deep'] * 2 + ['movie'] * 3
    assert float(cells[-1]['area_um2']) == float(cells[-1]['area_px']) / 4
    assert load_predictions(out / 'predictions.npz').image_ids[:2] == ('A1/img', 'A2/img')
    run = json.loads((out / 'run.json').read_text())
    assert (run['images'], run['failed'], run['model']['sha256']) == (6, 1, 'a' * 64)


def test_what_is_done_is_skipped(images: Path, model: BlobModel, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    predict(images, out)
    before = files_of(out)
    model.calls.clear()
    result = predict(images, out)
    assert model.calls == [] and files_of(out) == before
    assert result.kept == {'A1/img', 'A2/img', 'deep', 'empty', 'movie'}

    cv2.imwrite(str(images / 'empty.png'), blobs(255))
    (out / 'A2' / 'img_rois.zip').unlink()
    cv2.imwrite(str(images / 'torn.tif'), blobs(99))
    result = predict(images, out)
    assert not result.failed and result.kept == {'A1/img', 'deep', 'movie'}
    # What was only deleted is written again from the kept predictions.
    assert model.calls == ['empty', 'torn']
    assert [row['cells'] for row in summary_of(out)] == ['2', '1', '2', '1', '2', '1', '0', '1']


def test_another_chain_needs_no_prediction_but_other_levels_do(images: Path, model: BlobModel, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    predict(images, out)
    rois = (out / 'A1' / 'img_rois.zip').read_bytes()
    model.calls.clear()
    predict(images, out, ImageOptions(min_score=0.2, exclude_border=True), formats=('masks',))
    assert model.calls == []
    labels = tifffile.imread(out / 'A1' / 'img_masks.tif')
    assert labels[0].max() == 0 and np.unique(labels).tolist() == [0, 1, 2]
    # Files in formats that were not asked for again show the new cells too.
    assert (out / 'A1' / 'img_rois.zip').read_bytes() != rois
    predict(images, out, ImageOptions(levels=(0, 100)), formats=('masks',))
    assert len(model.calls) == 7


def test_files_of_others_are_not_overwritten(images: Path, model: BlobModel, tmp_path: Path) -> None:
    """In the folder of the images itself, with one label image that someone drew, and one that someone corrected."""
    (images / 'deep_masks.tif').write_bytes(b'drawn by hand')
    result = predict(images, images)
    assert {record.image for record in result.failed} == {'deep', 'torn'}
    assert 'deep_masks.tif is there already and not of this run' in result.failed[0].message
    assert len(result.skipped) == 1 and (images / 'deep_masks.tif').read_bytes() == b'drawn by hand'

    corrected = images / 'A1' / 'img_masks.tif'
    corrected.write_bytes(b'corrected')
    assert 'A1/img' in predict(images, images).kept and corrected.read_bytes() == b'corrected'
    result = predict(images, images, ImageOptions(min_score=0.9))
    assert 'img_masks.tif was changed since it was written' in result.failed[0].message
    assert corrected.read_bytes() == b'corrected'
    result = predict(images, images, ImageOptions(min_score=0.9), overwrite=True)
    assert [record.image for record in result.failed] == ['torn'] and corrected.read_bytes() != b'corrected'


def test_an_image_whose_record_is_damaged_is_predicted_again(
    images: Path, model: BlobModel, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    out = tmp_path / 'out'
    predict(images, out)
    whole = files_of(out)
    record = RunFolder(out).record_path('deep')
    record.write_text('{"image": "de')
    assert 'deep' not in predict(images, out).kept
    assert 'deep: its record is damaged; it is predicted again' in capfd.readouterr().err
    assert files_of(out) == whole
    # What someone has corrected since stays.
    record.write_text('')
    (out / 'deep_masks.tif').write_bytes(b'corrected')
    result = predict(images, out)
    assert 'deep_masks.tif differs from what is made now' in next(
        failed.message for failed in result.failed if failed.image == 'deep'
    )
    assert (out / 'deep_masks.tif').read_bytes() == b'corrected'


def test_a_run_killed_at_any_moment_ends_as_in_one_go(
    images: Path, model: BlobModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / 'whole', tmp_path / 'out'
    predict(images, whole)
    replace, kills = os.replace, 0
    for moment in range(100):
        moves = iter(range(1000))

        def move_or_die(path: Path, target: Path, moves=moves, moment=moment) -> None:
            if next(moves) == moment % 13 + 1:
                raise KeyboardInterrupt
            replace(path, target)

        monkeypatch.setattr(os, 'replace', move_or_die)
        try:
            result = predict(images, out)
            break
        except KeyboardInterrupt:
            kills += 1
    assert kills > 5 and len(result.failed) == 1
    monkeypatch.setattr(os, 'replace', replace)
    predict(images, out)
    assert files_of(out) == files_of(whole)


def test_two_runs_in_one_folder(images: Path, model: BlobModel, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    with (
        folder_module.lock_run(out, False),
        pytest.raises(InputError, match=f'another prediction is at work there \\(process {os.getpid()} on '),
    ):
        predict(images, out)
    predict(images, out)


def test_folders_of_something_else_are_refused(images: Path, model: BlobModel, tmp_path: Path) -> None:
    (tmp_path / 'run.json').write_text('{"schema": "sartorius-run"}')
    with pytest.raises(UsageError, match=r'run\.json is there already and not of a prediction'):
        predict(images, tmp_path)
    with pytest.raises(UsageError, match='is a file; name a folder'):
        predict(images, tmp_path / 'run.json')


def test_a_defect_stops_one_image_and_a_full_disk_all(
    images: Path, model: BlobModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = model._predict_frame

    def fail(pixels, frame, factor, options):
        if frame == 'deep':
            raise TypeError('no such thing')
        if frame == 'empty':
            raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')
        return find(pixels, frame, factor, options)

    monkeypatch.setattr(model, '_predict_frame', fail)
    deep, empty, _ = predict(images, tmp_path / 'out').failed
    assert 'unexpected TypeError (no such thing); please report it with' in deep.message
    assert 'no such thing' in Path(deep.message.split('please report it with ')[1]).read_text()
    assert 'does not fit into the memory of the GPU; give --tiles on' in empty.message

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(model, '_predict_frame', full)
    with pytest.raises(OSError, match='No space left'):
        predict(images, tmp_path / 'other')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(pixel_size_um=0.0), '--pixel-size is 0'),
        (dict(scale=float('inf')), '--scale is inf'),
        (dict(min_score=1.5), '--min-score is 1.5'),
        (dict(levels=(5.0, 5.0)), '--levels is 5:5'),
        (dict(tiles='maybe'), "--tiles is 'maybe'"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ImageOptions(**options)


def test_unknown_formats_and_jobs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no format is called 'mask'; did you mean 'masks'"):
        PredictOptions(tmp_path, ('a',), formats=('mask',))
    with pytest.raises(UsageError, match='--jobs is 0'):
        PredictOptions(tmp_path, ('a',), jobs=0)


@pytest.mark.parametrize(
    ('of_image', 'of_model', 'options', 'factor', 'note'),
    [
        (0.5, 1.0, {}, 0.5, ''),
        (0.5, 1.0, dict(pixel_size_um=2.0), 2.0, ''),
        (0.5, 1.0, dict(scale=3.0), 3.0, ''),
        (None, 1.0, {}, 1.0, 'the image does not tell its pixel size'),
        (0.5, None, {}, 1.0, 'the model does not tell its pixel size'),
        (0.1, 1.0, {}, 0.1, 'pixels of 0.1 um, the model 1 um, a scale of 0.1'),
    ],
)
def test_scale_from_pixel_sizes(of_image, of_model, options: dict[str, float], factor: float, note: str) -> None:
    model = BlobModel()
    model.pixel_size_um = of_model
    stack = SimpleNamespace(pixel_size_um=of_image, pixel_size_from='OME' if of_image else '')
    scale = model.choose_scale(stack, ImageOptions(**options))
    assert scale.factor == pytest.approx(factor)
    assert note in ' '.join(scale.notes) and bool(note) == bool(scale.notes)
    assert scale.pixel_size_from == ('--pixel-size' if 'pixel_size_um' in options else 'OME' if of_image else '')


def test_min_score_takes_the_place_of_the_threshold() -> None:
    chain = build_chain([dict(type='VoteClass'), *CHAIN])
    assert with_min_score(chain, None) is chain
    changed = [(type(step).__name__, vars(step)) for step in with_min_score(chain, 0.7).steps]
    assert changed[1] == ('ScoreThreshold', {'threshold': 0.7}) and len(changed) == 3
    first = with_min_score(replace(chain, steps=chain.steps[2:]), 0.7).steps[0]
    assert (type(first).__name__, first.threshold) == ('ScoreThreshold', 0.7)


def test_no_images(model: BlobModel, tmp_path: Path) -> None:
    (tmp_path / 'none').mkdir()
    with pytest.raises(InputError, match='holds no image'):
        predict(tmp_path / 'none', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
