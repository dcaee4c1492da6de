"""Model files: what a checkpoint says is taken as data, a published one says the same, and neither can run code."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

from sartorius.engine.config import load_config
from sartorius.engine.publishing import PublishOptions, publish_model
from sartorius.inference import InferenceOptions, Predictor
from sartorius.models import model_file
from sartorius.models.checkpoints import read_checkpoint
from sartorius.models.file_config import check_test_config, make_test_config, parse_config_text
from sartorius.models.model_file import find_model, load_model_file
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import CONFIG_DIR

CLASSES = ('shsy5y', 'astro', 'cort')
SIZE = (520, 704)


@pytest.fixture(scope='module')
def config() -> Config:
    """The small variant with few candidates; an untrained model has low scores."""
    config = load_config(CONFIG_DIR / 'sartorius' / 'mrcnn_r18.py', small=True)
    config.model.test_cfg.rpn.update(nms_pre=100, max_per_img=40)
    config.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=12)
    config.tta_orientations = ['none', 'rot90']
    return config


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Path:
    """What a training leaves: weights, optimizer, config as text, classes and record."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    torch.nn.init.normal_(model.roi_head.mask_head.conv_logits.weight, std=5)
    run = {
        'recipe': 'mrcnn_r18_small',
        'config': '/home/anna/cells/mine.py',
        'config_sha256': 'c' * 64,
        'commands': ["python tools/train.py '/home/anna/cells/mine.py' --work-dir C:\\data\\run https://a.org/b/c.pth"],
        'data': {'train': {'file': '/data/train.json', 'origin': 'synthetic images'}},
    }
    meta = {'cfg': config.pretty_text, 'dataset_meta': {'classes': CLASSES, 'palette': [(1, 2, 3)] * 3}, 'run': run}
    path = tmp_path_factory.mktemp('run') / 'iter_100.pth'
    torch.save({'state_dict': model.state_dict(), 'meta': meta, 'optimizer': {'state': [torch.zeros(9)]}}, path)
    path.with_name('last_checkpoint').write_text('/elsewhere/iter_100.pth')
    return path


@pytest.fixture(scope='module')
def published(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('models')
    return publish_model(PublishOptions(checkpoint.parent, out, name='my_cells', pixel_size=0.5))[0]


@pytest.fixture(scope='module')
def image() -> np.ndarray:
    """Grey blotches as large as the competition's images."""
    coarse = np.random.default_rng(0).uniform(70, 190, (30, 40)).astype(np.float32)
    return np.rint(cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)).clip(0, 255).astype(np.uint8)


def altered(published: Path, out: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The published file with something else in it."""
    content = copy.deepcopy(read_checkpoint(published))
    change(content)
    torch.save(content, out)
    return out


def assert_same_cells(pred: ImagePredictions, expected: ImagePredictions) -> None:
    assert pred.size == expected.size and len(pred) > 0
    for name in ('boxes', 'scores', 'labels', 'soft_masks'):
        assert getattr(pred, name).tobytes() == getattr(expected, name).tobytes(), name


@pytest.mark.slow
def test_a_checkpoint_says_all_that_prediction_needs(checkpoint: Path, config: Config) -> None:
    model = load_model_file(checkpoint)
    assert (model.name, model.classes, model.scale, model.pixel_size_um) == ('mrcnn_r18_small', CLASSES, 2.0, None)
    assert model.origins == ('synthetic images',)
    assert model.palette == ((1, 2, 3),) * 3
    assert [step['type'] for step in model.postprocess] == [step['type'] for step in config.postprocess]
    assert all(
        torch.equal(value, read_checkpoint(checkpoint)['state_dict'][key]) for key, value in model.state_dict.items()
    )


def test_a_published_file_says_the_same_and_has_nothing_else(checkpoint: Path, published: Path) -> None:
    model, source = load_model_file(published), load_model_file(checkpoint)
    assert published.name == f'my_cells-{model.sha256[:8]}.pth'
    assert (model.name, model.pixel_size_um) == ('my_cells', 0.5)
    for field in ('data', 'classes', 'palette', 'postprocess'):
        assert getattr(model, field) == getattr(source, field), field
    assert 'optimizer' not in read_checkpoint(published)
    # Read by torch itself, without any trusted type.
    assert torch.load(published, weights_only=True)['classes'] == list(CLASSES)


def test_folders_of_the_machine_are_not_published(published: Path) -> None:
    assert load_model_file(published).run.commands == (
        "python tools/train.py 'mine.py' --work-dir run https://a.org/b/c.pth",
    )
    card = published.with_suffix('.md').read_text(encoding='utf-8')
    assert '/home/anna' not in card and '/data/train' not in card and 'license: apache-2.0' in card
    assert b'/home/anna' not in published.read_bytes()


def test_publishing_twice_gives_the_same_bytes(checkpoint: Path, published: Path, tmp_path: Path) -> None:
    again, _ = publish_model(PublishOptions(checkpoint, tmp_path, name='my_cells', pixel_size=0.5))
    assert (again.name, again.read_bytes()) == (published.name, published.read_bytes())
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ['.md', '.pth']


@pytest.mark.slow
def test_predictions_are_those_of_the_config_and_the_checkpoint(
    config: Config, checkpoint: Path, published: Path, image: np.ndarray
) -> None:
    """Of images as large as the competition's; what :class:`Predictor` gives is what tools/test.py writes."""
    expected = Predictor(config, checkpoint, device='cpu').predict_array(image)
    for path in (checkpoint, published):
        assert_same_cells(Predictor.from_model(load_model_file(path), device='cpu').predict_array(image), expected)


@pytest.mark.slow
@pytest.mark.parametrize('modes', [{'tta': True}, {'tiles': True}])
def test_predictions_are_the_same_in_other_modes(
    modes: dict[str, bool], config: Config, checkpoint: Path, published: Path, image: np.ndarray
) -> None:
    options = InferenceOptions(**modes)
    expected = Predictor(config, checkpoint, options, device='cpu').predict_array(image)
    assert_same_cells(Predictor.from_model(load_model_file(published), options, 'cpu').predict_array(image), expected)


def test_images_of_any_size_are_enlarged_by_one_factor(published: Path) -> None:
    predictor = Predictor.from_model(load_model_file(published), device='cpu')
    sample = predictor._pipeline.transforms[1](dict(img=np.zeros((90, 60, 3), np.uint8), img_shape=(90, 60)))
    assert sample['img_shape'] == (180, 120)


def test_half_precision_is_half_as_large_and_close(checkpoint: Path, published: Path, tmp_path: Path) -> None:
    half, _ = publish_model(PublishOptions(checkpoint, tmp_path, half=True))
    assert half.stat().st_size < 0.6 * published.stat().st_size
    exact = load_model_file(published).state_dict
    for key, value in load_model_file(half).state_dict.items():
        assert value.dtype == exact[key].dtype
        # float16 keeps 11 bits.
        torch.testing.assert_close(value, exact[key], rtol=2**-11, atol=1e-7, msg=key)


@pytest.mark.parametrize('recipe', ['cmrcnn_x152', 'htc_r50', 'rtmdet_l', 'mrcnn_r50_fine'])
def test_every_kind_of_detector_fits_into_a_file(recipe: str) -> None:
    init_default_scope('mmdet')
    config = load_config(CONFIG_DIR / 'sartorius' / f'{recipe}.py', small=True)
    text = parse_config_text(config.pretty_text)
    assert text['model'] == _lists(config.model.to_dict())
    data = make_test_config(text)
    check_test_config(data)
    assert data == make_test_config(config)
    # Without what is for training alone, it is the same network.
    weights = MODELS.build(config.model).state_dict()
    assert MODELS.build(ConfigDict(data['model'], train_cfg=None)).state_dict().keys() == weights.keys()


@pytest.mark.parametrize(
    'text',
    [
        'model = __import__("os").system("touch x")',
        'model = dict(type=open("x", "w"))',
        'model = dict(**globals())',
        'model = [x for x in ()]',
        'model = f"{open}"',
        'model = (',
        'model = ' + '(' * 500 + ')' * 500,
        'model = dict(1)',
    ],
)
def test_text_that_is_more_than_data_is_not_run(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match='not the plain text that tools/train'):
        parse_config_text(text)
    assert not list(tmp_path.iterdir())


def test_other_lines_of_a_text_are_not_read() -> None:
    assert parse_config_text('import os\nos.abort()\nhook = dict(a=print)\ntiles = dict(b=(1, -inf))') == {
        'tiles': {'b': [1, -float('inf')]}
    }


@pytest.mark.parametrize(
    ('place', 'value', 'message'),
    [
        ('model.type', 'os.system', 'where a name belongs'),
        ('model.type', 'TiledModel', "asks for 'TiledModel'"),
        ('model.type', ['MaskRCNN'], 'none of the parts'),
        # A module in the current folder: MMEngine would import it.
        ('model.neck.type', 'antigravity', "asks for 'antigravity'"),
        # mmcv evaluates the name of an NMS.
        ('model.test_cfg.rcnn.nms.type', '__import__("os").abort()', 'where a name belongs'),
        ('model.test_cfg.rcnn.nms.type', 'exit', "asks for 'exit'"),
        # Takes a config file or the name of a language model.
        ('model.type', 'KnowledgeDistillationSingleStageDetector', 'none of the parts'),
        ('model.bbox_head', {'type': 'ATSSVLFusionHead', 'lang_model_name': 'bert-base'}, 'none of the parts'),
        ('model.teacher_config', 'evil.py', 'where a name belongs'),
        ('model.backbone.path', '/etc/passwd', 'where a name belongs'),
        ('model.backbone.address', 'https:a', 'where a name belongs'),
        ('model.backbone.__class__', 1, "has a key '__class__'"),
        ('model.backbone.depth', torch.tensor(18), 'is a Tensor'),
        ('pipeline.0.type', 'LoadImageFromFile', "asks for 'LoadImageFromFile'"),
        ('pipeline.0.type', 'Compose', "asks for 'Compose'"),
        ('tta_model.type', 'TiledModel', "asks for 'TiledModel'"),
        ('tiles.type', 'Resize', "tiles asks for 'Resize'"),
        ('custom_imports', ['evil'], 'must have the keys'),
    ],
)
def test_a_config_names_only_parts_of_detectors(
    place: str, value: object, message: str, published: Path, tmp_path: Path
) -> None:
    def change(content: dict[str, Any]) -> None:
        *parents, last = place.split('.')
        node = content['config']
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node[key]
        node[int(last) if isinstance(node, list) else last] = value

    with pytest.raises(InputError, match=message) as caught:
        load_model_file(altered(published, tmp_path / 'other.pth', change))
    assert 'other.pth: ' in str(caught.value)


def test_first_weights_and_scopes_of_a_file_are_dropped(published: Path, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content['config']['model']['backbone']['init_cfg'] = {'type': 'Pretrained', 'checkpoint': '/evil.pth'}
        content['config']['model'].update(_scope_='evil', pretrained='/evil.pth')

    assert load_model_file(altered(published, tmp_path / 'x.pth', change)).data == load_model_file(published).data


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda content: content.update(version=2), 'reads sartorius-model 1'),
        (lambda content: content.update(format='other'), "format 'other'"),
        (lambda content: content.update(state_dict={}), 'holds no weights'),
        (lambda content: content['state_dict'].update(a=1), 'holds more than weights'),
        (lambda content: content.update(classes=[]), 'names no classes'),
        (lambda content: content.update(classes=['a', 'b']), 'names 2 classes, and its model has 3'),
        (lambda content: content.update(classes=['a', 'b', 'a']), 'two of its classes'),
        (lambda content: content.update(classes=['a', 'b', '\x1b[2J']), 'no name of a class'),
        (lambda content: content.update(palette=[[0, 0, 256]]), 'its palette'),
        (lambda content: content.update(pixel_size_um=float('nan')), 'a pixel size of nan'),
        (lambda content: content.update(name='../evil'), 'no name of a model'),
        (lambda content: content.update(postprocess=[{'type': 'Evil'}]), 'post-processing step 1'),
        (lambda content: content.pop('config'), 'its entry config is missing'),
        (lambda content: content['meta'].update(run=[1]), 'the record of its training'),
    ],
)
def test_a_file_that_is_unsound_is_named(change: Callable, message: str, published: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_model_file(altered(published, tmp_path / 'other.pth', change))
    assert 'other.pth: ' in str(caught.value)


@pytest.mark.parametrize('meta', [None, {}, {'cfg': 'a = 1'}, {'cfg': 'model = open'}])
def test_weights_without_a_config_ask_for_one(meta: dict | None, tmp_path: Path) -> None:
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'meta': meta}, tmp_path / 'a.pth')
    with pytest.raises(InputError, match=r'a\.pth: .*--config CONFIG'):
        load_model_file(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda weights: weights.pop('neck.lateral_convs.0.conv.weight'), r'the file has no neck\.lateral'),
        (lambda weights: weights.update(more=torch.zeros(1)), 'the model has no more'),
        (
            lambda weights: weights['backbone.conv1.weight'][0].fill_(torch.nan),
            r'backbone\.conv1\.weight are not finite',
        ),
        (
            lambda weights: weights.update(more=torch.zeros(1).expand(10**12)),
            '1000000000000 elements, of which the file has 1',
        ),
        (lambda weights: weights.update(more=torch.zeros(2).to_sparse()), '_rebuild_sparse_tensor'),
    ],
)
def test_weights_that_do_not_fit_are_named(
    change: Callable, message: str, published: Path, tmp_path: Path, image: np.ndarray
) -> None:
    path = altered(published, tmp_path / 'other.pth', lambda content: change(content['state_dict']))
    with pytest.raises(InputError, match=message):
        Predictor.from_model(load_model_file(path), device='cpu').predict_array(image)


@pytest.mark.parametrize(
    ('options', 'message'),
    [({'name': '../x'}, 'no name of a model'), ({'pixel_size': 0.0}, 'a pixel size of 0.0')],
)
def test_publishing_refuses(options: dict[str, Any], message: str, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        publish_model(PublishOptions(checkpoint, tmp_path, **options))
    with pytest.raises(InputError, match='no run of tools/train'):
        publish_model(PublishOptions(tmp_path, tmp_path))
    assert not list(tmp_path.iterdir())


def test_models_are_found_by_path_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped, own = tmp_path / 'shipped', tmp_path / 'own'
    shipped.mkdir()
    own.mkdir()
    monkeypatch.setattr(model_file, 'SHIPPED', shipped)
    monkeypatch.delenv('SARTORIUS_MODELS', raising=False)
    with pytest.raises(InputError, match='no model comes with'):
        find_model()
    for path in (shipped / 'cells-0a1b2c3d.pth', own / 'cells-11111111.pth', own / 'mine.pth', tmp_path / 'x.pth'):
        path.touch()
    assert find_model() == find_model('cells') == find_model('cells-0a1b2c3d') == shipped / 'cells-0a1b2c3d.pth'
    assert find_model(tmp_path / 'x.pth') == tmp_path / 'x.pth'
    with pytest.raises(InputError, match=r'mine: no such model file; known by name: cells \(\$SARTORIUS_MODELS'):
        find_model('mine')
    monkeypatch.setenv('SARTORIUS_MODELS', str(own))
    assert find_model('mine') == own / 'mine.pth'
    # One's own model goes before the package's of that name, which stays what is taken without a name.
    assert (find_model('cells'), find_model()) == (own / 'cells-11111111.pth', shipped / 'cells-0a1b2c3d.pth')


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(part) for key, part in value.items()}
    return [_lists(part) for part in value] if isinstance(value, list | tuple) else value
