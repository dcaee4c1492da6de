"""Files that commands take when none is named."""

import os

import numpy as np
import pytest

from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.provenance import FusedSource, Member, ModelSource
from sartorius.predictions.search import find_for_submission, plan_fusion
from sartorius.predictions.store import save_predictions
from sartorius.utils.errors import UsageError


def put(path, images='ab', age=0, kind='model'):
    """Writes a predictions file of some images, ``age`` seconds old."""
    source = ModelSource()
    if kind == 'fused':
        source = FusedSource(method='wbf', members=(Member(name='a', source=source),))
    save_predictions(path, PredictionSet(tuple(ImagePredictions.empty(name, (4, 5)) for name in images), source=source))
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_all_predictions_files_are_found_and_nothing_else(tmp_path):
    second, first = put(tmp_path / 'b/c/p.npz'), put(tmp_path / 'a/p.npz')
    np.savez(tmp_path / 'other.npz', weights=np.zeros(2))
    (tmp_path / 'broken.npz').write_bytes(second.read_bytes()[:100])
    (tmp_path / 'folder.npz').mkdir()
    (tmp_path / 'results.json').write_text('[{"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [0, 0, 1, 1]}]')
    (tmp_path / 'run.json').write_text('{}')
    put(tmp_path / '.half-written.npz')
    plan = plan_fusion(tmp_path)
    assert [one.path for one in plan.chosen] == [first, second]
    assert plan.chosen[0].header.image_ids == ('a', 'b')
    # Everything that might have been meant is named with a reason.
    assert [(path.name, reason.split(';')[0]) for path, reason in plan.dropped] == [
        ('broken.npz', 'truncated, damaged or no predictions file'),
        ('other.npz', 'is an archive of something else than predictions'),
        ('results.json', 'is COCO results'),
    ]


def test_files_of_the_same_images_are_fused_in_any_order_of_images(tmp_path):
    paths = [put(tmp_path / '1.npz', 'ab', age=5), put(tmp_path / '2.npz', 'ba', age=9)]
    plan = plan_fusion(tmp_path)
    assert [one.path for one in plan.chosen] == paths and plan.dropped == ()


def test_the_group_of_the_newest_file_is_taken_and_the_rest_explained(tmp_path):
    old = put(tmp_path / 'fold0/1.npz', 'abc', age=50)
    older = put(tmp_path / 'fold0/2.npz', 'abc', age=60)
    chosen = [put(tmp_path / 'test/1.npz', 'cd', age=900), put(tmp_path / 'test/2.npz', 'cd', age=1)]
    fused = put(tmp_path / 'fused.npz', 'cd', age=0, kind='fused')
    broken = tmp_path / 'broken.npz'
    broken.write_bytes(old.read_bytes()[:-30])
    plan = plan_fusion(tmp_path)
    assert [one.path for one in plan.chosen] == chosen
    reasons = dict(plan.dropped)
    assert set(reasons) == {old, older, fused, broken}
    assert reasons[fused] == 'is the result of a fusion'
    assert reasons[old] == 'covers other images (1 of its 3 are among the 2 fused)'
    assert reasons[broken].startswith('truncated, damaged')


def test_nothing_to_fuse_names_the_command(tmp_path):
    with pytest.raises(UsageError, match=r'python tools/test\.py CONFIG CHECKPOINT'):
        plan_fusion(tmp_path / 'missing')
    put(tmp_path / 'fused.npz', kind='fused')
    with pytest.raises(UsageError, match='no model predictions'):
        plan_fusion(tmp_path)
    (tmp_path / 'broken.npz').write_bytes(b'PK')
    with pytest.raises(UsageError, match=r'1 cannot be read, the first is .*broken\.npz'):
        plan_fusion(tmp_path)


def test_a_submission_takes_the_only_file(tmp_path):
    only = put(tmp_path / 'deep/down/p.npz')
    assert find_for_submission(tmp_path) == only


def test_a_submission_takes_the_newest_fused_file(tmp_path):
    put(tmp_path / '1.npz')
    put(tmp_path / '2.npz')
    put(tmp_path / 'z.npz', age=9, kind='fused')
    newest = put(tmp_path / 'b.npz', age=3, kind='fused')
    (tmp_path / 'empty.npz').touch()
    said = []
    assert find_for_submission(tmp_path, said.append) == newest
    assert len(said) == 1 and 'empty.npz: truncated, damaged' in said[0]


def test_a_submission_from_several_unfused_files_is_refused(tmp_path):
    put(tmp_path / '1.npz')
    put(tmp_path / '2.npz')
    with pytest.raises(UsageError, match=r'1\.npz, .*2\.npz.*python tools/ensemble\.py'):
        find_for_submission(tmp_path)


def test_a_submission_from_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r'python tools/test\.py CONFIG CHECKPOINT'):
        find_for_submission(tmp_path)
