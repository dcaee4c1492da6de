"""Chains: built from a config, on disk, and what they promise."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import Chain, build_chain, load_chain, load_chain_for, postprocess_all, save_chain
from sartorius.postprocess.steps import MinArea, ScoreThreshold, VoteClass
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.errors import InputError
from sartorius.utils.paths import DEFAULT_POSTPROCESS

SIZE = (48, 64)
DEFAULT = load_chain().for_classes(('shsy5y', 'astro', 'cort'))


def test_default_config_is_the_baseline():
    by_type = {step['type']: step for step in load_chain().to_config()}
    assert list(by_type) == ['VoteClass', 'ScoreThreshold', 'MaskThreshold', 'FillHoles', 'RemoveOverlap', 'MinArea']
    assert by_type['ScoreThreshold']['threshold'] == {'shsy5y': 0.15, 'astro': 0.35, 'cort': 0.55}
    assert by_type['MinArea']['min_area'] == {'shsy5y': 75, 'astro': 150, 'cort': 75}


def test_config_and_chain_are_inverse():
    chain = load_chain()
    assert build_chain(chain.to_config()) == chain
    assert build_chain(json.loads(json.dumps(chain.to_config()))) == chain


def test_steps_run_in_order():
    chain = build_chain([{'type': 'VoteClass'}, {'type': 'ScoreThreshold', 'threshold': 0.5}])
    assert chain == Chain((VoteClass(), ScoreThreshold(0.5)))
    predictions = ImagePredictions(
        image_id='made',
        size=SIZE,
        boxes=np.array([[0, 0, 9, 9]] * 3, dtype=np.float32),
        scores=np.array([0.6, 0.45, 0.45], dtype=np.float32),
        labels=np.array([0, 2, 2]),
        soft_masks=np.ones((3, 4, 4), dtype=np.float32),
    )
    # The two weak cells decide the class before the threshold drops them.
    assert chain(predictions).labels.tolist() == [2]


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (
            [{'type': 'ScoreTreshold', 'threshold': 0.5}],
            "step 1: unknown type 'ScoreTreshold'; did you mean 'ScoreThr",
        ),
        (
            [{'type': 'VoteClass'}, {'type': 'ScoreThreshold', 'thresholds': 0.5}],
            "step 2: ScoreThreshold: unknown key 'thresholds'; did you mean 'threshold'",
        ),
        ([{'type': 'VoteClass', 'weights': 1}], "VoteClass: unknown key 'weights'; known: none"),
        ([{'type': 'MinArea'}], "step 1: MinArea: the key 'min_area' is missing"),
        ([{'threshold': 0.5}], r'step 1: .* is not a mapping with a type; write dict\(type='),
        (['VoteClass'], "step 1: 'VoteClass' is not a mapping"),
        ({'type': 'VoteClass'}, 'must be a list of dicts'),
        ('VoteClass', 'must be a list of dicts'),
        (
            [{'type': 'FillHoles'}, {'type': 'MaskThreshold', 'threshold': 0.4}],
            'MaskThreshold is after FillHoles',
        ),
        (
            [{'type': 'RemoveOverlap'}, {'type': 'ConvexFill'}, {'type': 'MinArea', 'min_area': 75}],
            'ConvexFill is after RemoveOverlap and gives cells new pixels',
        ),
    ],
)
def test_wrong_configs(config, message):
    with pytest.raises(InputError, match=message):
        build_chain(config)


@pytest.mark.parametrize(
    'types',
    [
        [],
        ['VoteClass'],
        ['FillHoles'],
        ['FillHoles', 'RemoveOverlap', 'KeepLargestComponent'],
        ['RemoveOverlap', 'FillHoles', 'RemoveOverlap'],  # the last one resolves what the holes brought
    ],
)
def test_any_chain_settles_overlaps(types):
    # A ring, and a weaker cell that stands in its hole and reaches into its rim.
    ring = np.ones((9, 9), dtype=bool)
    ring[2:7, 2:7] = False
    predictions = ImagePredictions(
        image_id='made',
        size=SIZE,
        boxes=np.array([[0, 0, 9, 9], [3, 3, 6, 9]], dtype=np.float32),
        scores=np.array([0.6, 0.45], dtype=np.float32),
        labels=np.array([0, 2]),
        soft_masks=np.ones((2, 4, 4), dtype=np.float32),
        crops=(MaskCrop(ring, 0, 0), MaskCrop(np.ones((6, 3), dtype=bool), 3, 3)),
    )
    cells = build_chain([{'type': name} for name in types])(predictions)
    assert [crop.area for crop in cells.crops] == ([81] if 'FillHoles' in types else [56, 12])


def test_saved_chain_comes_back_with_its_evidence(tmp_path):
    chain = Chain((VoteClass(), ScoreThreshold({'shsy5y': 0.1, 'astro': 0.2, 'cort': 0.3}), MinArea(80)))
    path = tmp_path / 'new' / 'postprocess.json'
    save_chain(path, chain, {'score': 0.3})
    assert load_chain(path) == chain
    assert json.loads(path.read_text())['evidence'] == {'score': 0.3}


def test_python_file(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text('low = 0.2\npostprocess = [dict(type="ScoreThreshold", threshold=low)]\n')
    assert load_chain(path) == Chain((ScoreThreshold(0.2),))


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('a.py', 'postprocess = [', 'a.py: line 1 is not valid Python'),
        ('a.py', 'postprocess = steps', "a.py: line 1: NameError: name 'steps' is not defined"),
        ('a.py', 'model = 3', 'a.py: defines no postprocess'),
        ('a.py', "postprocess = [dict(type='Vote')]", "a.py: post-processing step 1: unknown type 'Vote'"),
        ('a.json', '{"postprocess": [', 'a.json: not JSON'),
        ('a.json', '[]', 'a.json: defines no postprocess'),
        ('a.yaml', '', 'a.yaml: a post-processing file ends in .json or .py'),
    ],
)
def test_files_that_hold_no_chain(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_chain(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match='no such post-processing file'):
        load_chain(tmp_path / 'gone.json')


def one_cell(label: int, score: float) -> ImagePredictions:
    return ImagePredictions(
        image_id='made',
        size=SIZE,
        boxes=np.array([[0, 0, 20, 20]], np.float32),
        scores=np.array([score], np.float32),
        labels=np.array([label]),
        soft_masks=np.ones((1, 4, 4), np.float32),
    )


@pytest.mark.parametrize(
    ('classes', 'label', 'kept'),
    [
        (('shsy5y', 'astro', 'cort'), 2, False),
        (('cort', 'shsy5y'), 1, True),  # shsy5y in second place
        (('cort', 'shsy5y'), 0, False),
    ],
)
def test_numbers_per_class_go_by_name_whatever_the_order_of_the_labels(classes, label, kept):
    chain = Chain((ScoreThreshold({'shsy5y': 0.1, 'astro': 0.2, 'cort': 0.9}),))
    images = postprocess_all(PredictionSet((one_cell(label, 0.5),), classes), chain)
    assert len(images['made']) == kept


def test_numbers_per_class_need_class_names():
    chain = Chain((ScoreThreshold({'a': 0.1, 'b': 0.9}),))
    with pytest.raises(InputError, match=r'call chain.for_classes\(predictions.classes\) first'):
        chain(one_cell(0, 0.5))
    with pytest.raises(InputError, match="ScoreThreshold threshold has no number for the class 'c', only for a, b"):
        postprocess_all(PredictionSet((one_cell(0, 0.5),), ('a', 'c')), chain)
    assert Chain((ScoreThreshold(0.1),))(one_cell(0, 0.5)).labels.tolist() == [0]


def test_cells_that_every_chain_drops_are_counted(caplog):
    boxes = np.float32([[0, 0, 5, 5], [5, 0, 0, 5], [3, 3, 3, 9], [90, 0, 95, 5], [-9, 0, 0, 5]])
    image = ImagePredictions(
        'a', (20, 30), boxes, np.full(5, 0.9, np.float32), np.zeros(5, np.int64), np.ones((5, 2, 2), np.float32)
    )
    assert len(postprocess_all(PredictionSet((image,)), build_chain([]))['a']) == 1
    assert caplog.messages == [
        '2 of 5 predicted cells have a box without width or height; they are dropped',
        '2 of 5 predicted cells lie outside their image; they are dropped',
    ]


def test_the_default_chain_goes_by_the_classes(caplog):
    assert load_chain_for(('cort', 'astro'))[0].steps[1].threshold == {'cort': 0.55, 'astro': 0.35}
    assert not caplog.records
    chain, path = load_chain_for(('A172', 'BT474', 'BV2', 'Huh7'))
    assert path.name == 'postprocess_any.py' and not chain.is_per_class
    assert 'the classes of the predictions are A172, BT474, BV2 and 1 more: post-processed by' in caplog.text
    with pytest.raises(InputError, match=r"postprocess.py: post-processing: ScoreThreshold .* the class 'cell'"):
        load_chain_for(('cell',), DEFAULT_POSTPROCESS)


@st.composite
def any_predictions(draw):
    """Predictions with everything that can go wrong: NaN, infinite and inverted boxes, any probabilities, big crops."""
    count = draw(st.integers(0, 8))
    coordinates = st.one_of(st.floats(-30, 100, width=32), st.sampled_from([np.nan, np.inf, -np.inf, 1e30]))
    boxes = draw(arrays.arrays(np.float32, (count, 4), elements=coordinates))
    if draw(st.booleans()):
        boxes[:, 2:] = boxes[:, :2] + draw(arrays.arrays(np.float32, (count, 2), elements=st.floats(0, 60, width=32)))
    scores = draw(arrays.arrays(np.float32, count, elements=st.sampled_from([0, 0.2, 0.6, 0.9, 1, np.nan])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    crops = None
    if draw(st.booleans()):
        shapes = rng.integers(0, 50, (count, 2))
        corners = rng.integers(-20, 60, (count, 2))
        crops = tuple(
            MaskCrop(rng.random(tuple(shape)) < 0.6, int(x), int(y))
            for shape, (x, y) in zip(shapes, corners, strict=True)
        )
    return ImagePredictions(
        image_id='any',
        size=SIZE,
        boxes=boxes,
        scores=scores,
        labels=rng.integers(0, 3, count),
        soft_masks=rng.random((count, 6, 6), dtype=np.float32),
        crops=crops,
    )


@settings(max_examples=200, deadline=None)
@given(predictions=any_predictions())
def test_default_chain_shares_no_pixel_and_stays_inside_the_image(predictions):
    cells = DEFAULT(predictions)
    times_taken = np.zeros(SIZE, dtype=int)
    for crop in cells.crops:
        x1, y1, x2, y2 = crop.window
        assert min(x1, y1) >= 0
        assert x2 <= SIZE[1]
        assert y2 <= SIZE[0]
        assert crop.area >= 75
        times_taken += crop.to_full(SIZE)
    assert times_taken.max() <= 1
    assert np.isfinite(cells.scores).all()
