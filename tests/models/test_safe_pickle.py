"""Checkpoints: what trainings write is read as it was, and what would run code is refused, by every way in."""

import copy
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner.checkpoint import _load_checkpoint

from sartorius.models import safe_pickle
from sartorius.models.checkpoints import read_checkpoint
from sartorius.utils.errors import InputError

from .forged import BUFFER, GETATTR, NEW_BUFFER, call, forge, hostile_parts, mapping, name, text, with_state


def test_what_trainings_write_is_read_as_it_was(tmp_path: Path) -> None:
    buffer = HistoryBuffer([0.5, np.float64(0.25), 4], [1, 2, 3])
    weights = OrderedDict(a=torch.arange(6.0).reshape(2, 3).t(), b=torch.tensor(3, dtype=torch.int64))
    weights._metadata = OrderedDict(a={'version': 2})
    content = {
        'state_dict': weights,
        'message_hub': {'log_scalars': OrderedDict(loss=buffer)},
        'meta': {'iter': 3, 'seed': np.int64(7), 'best': np.float32(0.5), 'classes': ('a', 'b'), 'none': None},
        'param_schedulers': [{'milestones': Counter([3, 3, 9])}],
        'arrays': [
            np.arange(6, dtype='>i4').reshape(2, 3),
            np.asfortranarray(np.eye(3))[:2],
            np.zeros(0),
            np.array(True),
        ],
    }
    torch.save(content, tmp_path / 'a.pth')
    read = read_checkpoint(tmp_path / 'a.pth')
    assert read['meta'] == content['meta']
    assert type(read['meta']['seed']) is int
    assert read['param_schedulers'] == content['param_schedulers']
    assert type(read['param_schedulers'][0]['milestones']) is Counter
    for array, expected in zip(read['arrays'], content['arrays'], strict=True):
        assert (type(array), array.dtype, array.shape) == (np.ndarray, expected.dtype, expected.shape)
        assert np.array_equal(array, expected)
    assert list(read['state_dict']) == ['a', 'b']
    assert read['state_dict']._metadata == weights._metadata
    assert torch.equal(read['state_dict']['a'], weights['a'])
    log = read['message_hub']['log_scalars']['loss']
    assert type(log) is HistoryBuffer
    assert [values.tolist() for values in log.data] == [[0.5, 0.25, 4], [1, 2, 3]]
    assert log.statistics('mean') == 4.75 / 6
    # What is written again is the same: no stand-in is left.
    torch.save(copy.deepcopy(read), tmp_path / 'b.pth')
    assert read_checkpoint(tmp_path / 'b.pth')['message_hub']['log_scalars']['loss'].data[0].tolist() == [0.5, 0.25, 4]


@pytest.mark.parametrize('case', hostile_parts(Path('x')))
@pytest.mark.parametrize('read', [read_checkpoint, lambda path: _load_checkpoint(str(path))], ids=['ours', 'mmengine'])
def test_what_no_checkpoint_needs_is_refused(tmp_path: Path, case: str, read) -> None:
    marker = tmp_path / 'ran'
    path = forge(tmp_path / 'forged.pth', hostile_parts(marker)[case])
    with pytest.raises(InputError, match=r'forged\.pth: cannot be read as a checkpoint') as caught:
        read(path)
    assert len(str(caught.value).splitlines()) == 1
    assert not marker.exists()


def test_content_that_is_larger_than_its_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch) -> None:
    torch.save({'state_dict': {'w': torch.zeros(1 << 20)}}, tmp_path / 'a.pth')
    for kind, compression, twice in (('packed', zipfile.ZIP_DEFLATED, False), ('twice', zipfile.ZIP_STORED, True)):
        path = tmp_path / f'{kind}.pth'
        with zipfile.ZipFile(tmp_path / 'a.pth') as source, zipfile.ZipFile(path, 'w', compression) as target:
            for info in source.infolist():
                target.writestr(info.filename, source.read(info))
            if twice:
                # The reader of the sizes and that of the content could take one each.
                target.writestr(source.infolist()[0].filename.upper(), b'')
        with pytest.raises(InputError, match='compressed entries|two entries of one name'):
            read_checkpoint(path)
    monkeypatch.setattr(safe_pickle, 'MAX_STEPS', 100)
    steps = b'(' + b']' * 101 + b't'
    with pytest.raises(InputError, match='steps of building'):
        read_checkpoint(forge(tmp_path / 'steps.pth', steps))
    (tmp_path / 'legacy.pth').write_bytes(b'\x80\x02' + steps + b'.')
    with pytest.raises(InputError, match='steps of building'):
        read_checkpoint(tmp_path / 'legacy.pth')


def test_files_of_before_pytorch_1_6_are_read(tmp_path: Path) -> None:
    torch.save({'state_dict': {'w': torch.ones(3)}}, tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    assert read_checkpoint(tmp_path / 'a.pth')['state_dict']['w'].tolist() == [1, 1, 1]


def test_what_other_code_trusts_is_not_trusted(tmp_path: Path) -> None:
    path = forge(tmp_path / 'forged.pth', call(name('builtins', 'list')))
    with torch.serialization.safe_globals([list]), pytest.raises(InputError, match='list'):
        read_checkpoint(path)
    # The reader's own lists are back.
    assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == ['builtins.list']
    torch.save(torch.ones(1), tmp_path / 'a.pth')
    assert torch.load(tmp_path / 'a.pth', weights_only=True).tolist() == [1]


def test_the_chain_to_exec_is_real(tmp_path: Path) -> None:
    """The first forgery does run code with ``getattr`` itself among the trusted names, as MMEngine has it."""
    path = forge(tmp_path / 'forged.pth', hostile_parts(tmp_path / 'ran')['getattr to exec'])
    with torch.serialization.safe_globals([HistoryBuffer, getattr]):
        torch.load(path, weights_only=True)
    assert (tmp_path / 'ran').exists()


def test_statistics_of_a_file_do_not_reach_other_buffers(tmp_path: Path) -> None:
    methods = mapping(mean=call(GETATTR, BUFFER, text('max')), own=call(GETATTR, BUFFER, text('max')))
    path = forge(tmp_path / 'a.pth', with_state(NEW_BUFFER, mapping(statistics_methods=methods)))
    before = dict(HistoryBuffer._statistics_methods)
    with pytest.raises(InputError, match='a log buffer without its numbers'):
        read_checkpoint(path)
    assert HistoryBuffer._statistics_methods == before


def test_the_text_that_mmengine_would_run_when_it_resumes_is_dropped(tmp_path: Path) -> None:
    torch.save({'state_dict': {}, 'meta': {'config': 'raise SystemExit', 'cfg': 'a = 1'}}, tmp_path / 'a.pth')
    assert _load_checkpoint(str(tmp_path / 'a.pth'))['meta'] == {'cfg': 'a = 1'}
