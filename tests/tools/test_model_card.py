"""The card of a model: what follows from the data for its weights, and that it shows no other model's score."""

import re
import runpy
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from sartorius.utils.cli import run_tool
from sartorius.utils.files import sha256_of
from tests.leaderboard.conftest import gt_file, image, model_source, put  # noqa: F401
from tests.utils.test_tables import HOSTILE, check_inert, tokens

NO_COMMERCE = 'The weights inherit these terms: no commercial use'


def record(origin: str = 'synthetic images', weights: dict | None = None, **changes: object) -> dict:
    """A run's record as the checkpoint carries it."""
    data = {'file': 'annotations/fold0_train.json', 'sha256': 'd' * 64, 'images': 3, 'cells': 9, 'origin': origin}
    run = {
        'recipe': 'mrcnn_r18', 'config': 'configs/sartorius/mrcnn_r18.py', 'config_sha256': 'c' * 64,
        'seed': 0, 'fold': 0,
        'commands': ['python tools/train.py configs/sartorius/mrcnn_r18.py --fold 0'], 'weights': weights,
        'data': {'train': data, 'val': {**data, 'file': 'annotations/fold0_val.json', 'images': 2}},
        'iterations': 100, 'iterations_done': 100, 'batch_size': 4, 'processes': 1, 'device': 'CPU', 'minutes': 2.0,
        'precision': 'float32', 'finished': True, 'versions': {'torch': '2.13.0'},
    }  # fmt: skip
    return {**run, **changes}


@pytest.fixture
def card(repo_root: Path, tmp_path: Path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs the tool on a checkpoint with a record; gives back exit code, card and errors."""
    main = runpy.run_path(str(repo_root / 'tools' / 'analysis/model_card.py'))['main']
    monkeypatch.chdir(tmp_path)

    def run(kept: dict | None, *arguments: str) -> tuple[int, str, str]:
        torch.save(
            {'meta': {} if kept is None else {'run': kept}, 'state_dict': {'w': torch.ones(1)}},
            tmp_path / 'iter_100.pth',
        )
        try:
            run_tool(lambda: main(['iter_100.pth', *arguments]))
            code = 0
        except SystemExit as end:
            code = end.code
        path = tmp_path / 'MODEL_CARD.md'
        text = path.read_text() if path.is_file() else ''
        return code, re.sub(r' +', ' ', text), capsys.readouterr().err

    return run


def test_card_names_model_data_and_command(card, tmp_path):
    code, text, _ = card(record())
    assert code == 0 and text.startswith('# mrcnn_r18, fold 0\n')
    assert f'`{sha256_of(tmp_path / "iter_100.pth")}`' in text
    assert '| this one | val | `annotations/fold0_val.json` | 2 | 9 | `dddddddddddd` |' in text
    assert 'python tools/train.py configs/sartorius/mrcnn_r18.py --fold 0' in text
    assert '| torch | 2.13.0 |' in text and 'Not scored here' in text


@pytest.mark.parametrize(
    ('origin', 'weights', 'terms', 'bound'),
    [
        ('synthetic images', None, 'synthetic images: none', 'None of this restricts the weights'),
        ('Sartorius', None, 'Sartorius: the rules of the Sartorius', NO_COMMERCE),
        ('synthetic images', {'url': 'https://x.org/coco.pth', 'sha256': 'e' * 64}, 'First weights `https://x.org/coco.pth`',
         'inherit the terms of the first weights'),
        # What the first weights were trained on binds as well, however far back.
        ('synthetic images', {'file': 'a.pth', 'sha256': 'e' * 64, 'run': record('synthetic images', {
            'file': 'b.pth', 'sha256': 'f' * 64, 'run': record('LIVECell', recipe='mrcnn_r50_livecell')})},
         'LIVECell: CC BY-NC 4.0', NO_COMMERCE),
        (None, None, 'unknown: the checkpoint carries no record', NO_COMMERCE),
    ],
)  # fmt: skip
def test_terms_of_the_data_bind_the_weights(card, origin, weights, terms, bound):
    code, text, _ = card(record(origin, weights))
    assert code == 0
    assert terms in text and bound in text
    assert (NO_COMMERCE in text) == (bound == NO_COMMERCE)


@pytest.mark.parametrize(('licence', 'free'), [('MIT', True), ('CC-BY-NC-4.0', False), (None, False)])
def test_drawn_images_bind_nothing_and_real_ones_beside_them_by_their_licence(card, licence, free):
    drawn = {'breadth': 'drawn', 'height': 200, 'width': 240, 'seed': 3, 'share': 0.9}
    code, text, _ = card(record(data={'synthetic': drawn}))
    assert code == 0 and 'None of this restricts the weights' in text and 'never seen a real cell' in text
    assert '| this one | train | synthetic, drawn, 240x200 px, seed 3 | 360 | as drawn | none |' in text
    real = {**record()['data']['train'], 'origin': 'Usiigaci', 'licence': licence}
    text = card(record(data={'train': real, 'synthetic': {**drawn, 'images': 50}}))[1]
    assert f'- Usiigaci: {licence or "unknown"}' in text and 'seed 3 | 50 |' in text
    assert 'never seen a real cell' not in text
    assert ('None of this restricts' in text, NO_COMMERCE in text) == (free, not free)


def test_words_of_strangers_are_neither_html_nor_links_nor_headings(card):
    def headings(text: str) -> list[str]:
        parsed = list(tokens(text))
        return [line.content for kind, line in pairwise(parsed) if kind.type == 'heading_open']

    plain = headings(card(record())[1])
    word = ' '.join(HOSTILE) + '\n\n## Terms\n\n- none | x'
    data = {**record()['data']['train'], 'file': word, 'origin': word, 'licence': word}
    hostile = record(
        recipe=word, config=word, device=word, precision=word, versions={word: word}, data={'train': data},
        weights={'url': word, 'sha256': word}, commands=[f'python tools/train.py {word}', '````', '## Terms'],
    )  # fmt: skip
    code, text, _ = card(hostile)
    assert code == 0
    check_inert(text)
    assert headings(text)[1:] == plain[1:]
    assert NO_COMMERCE in text


def test_checkpoint_without_a_record_says_so(card):
    code, text, _ = card(None)
    assert code == 0
    assert 'Nothing is recorded of its training' in text and 'Take them for bound' in text


def test_scores_are_of_its_own_predictions(card, put, gt_file, tmp_path):  # noqa: F811
    torch.save({'meta': {'run': record()}, 'state_dict': {'w': torch.ones(1)}}, tmp_path / 'iter_100.pth')
    source = model_source(fold=0, checkpoint_sha256=sha256_of(tmp_path / 'iter_100.pth'))
    put('own', [image('a', [0.9, 0.8]), image('b', [0.9])], source)
    words = ('--predictions', 'own/predictions_val.npz', '--annotations', 'annotations/fold0_val.json')
    code, text, _ = card(record(), *words)
    assert code == 0
    assert '| all | 2 | 0.7500 | 0.5000 to 1.0000 (2 groups) |' in text
    assert 'Images of fold 0, which was held out' in text


@pytest.mark.parametrize(
    ('changes', 'words', 'code', 'message'),
    [
        ({'checkpoint_sha256': 'f' * 64}, None, 1, 'predictions of another checkpoint (work/mrcnn_r18/iter_100.pth)'),
        ({'split': 'train'}, None, 1, 'of images that the model was trained on'),
        ({'fold': 1}, None, 1, 'held out from fold 0 and predicted images of fold 1'),
        ({}, ['--predictions', 'own/predictions_val.npz'], 2, 'belong together'),
    ],
)
def test_other_predictions_are_refused(card, put, gt_file, tmp_path, changes, words, code, message):  # noqa: F811
    torch.save({'meta': {'run': record()}, 'state_dict': {'w': torch.ones(1)}}, tmp_path / 'iter_100.pth')
    source = replace(model_source(fold=0, checkpoint_sha256=sha256_of(tmp_path / 'iter_100.pth')), **changes)
    put('own', [image('a', [0.9, 0.8])], source)
    words = words or ['--predictions', 'own/predictions_val.npz', '--annotations', 'annotations/fold0_val.json']
    ended, text, errors = card(record(), *words)
    assert (ended, text) == (code, '')
    assert message in errors
