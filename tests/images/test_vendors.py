"""Other vendors' files through bioio: tried with a stand-in of its few calls, since it is an extra."""

import sys
from pathlib import Path

import numpy as np
import pytest

from sartorius.images.axes import ReadOptions
from sartorius.images.reading import read_stack
from sartorius.utils.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 60_000, (4, 2, 1, 5, 6), np.uint16)  # TCZYX

BIOIO = """
import datetime, types
import numpy as np

class BioImage:
    scenes = ('first', 'second')
    channel_names = ['DAPI', 'Phase']
    time_interval = datetime.timedelta(minutes=2)
    physical_pixel_sizes = types.SimpleNamespace(Z=None, Y=325, X=325)

    def __init__(self, path, reader):
        self.data = reader(path).data
        self.dtype = self.data.dtype
        sizes = {axis: (size,) for axis, size in zip('TCZYX', self.data.shape)}
        self.dims = type('Dimensions', (dict,), {'order': 'TCZYX'})(sizes)
        nm = types.SimpleNamespace(unit='nanometer')
        self.dimension_properties = types.SimpleNamespace(T=types.SimpleNamespace(unit=None), X=nm, Y=nm)

    def get_image_data(self, order, **picked):
        index = tuple(picked.get(axis, slice(None) if axis in order else 0) for axis in 'TCZYX')
        return self.data[index]
"""
READER = """
import numpy as np

class Reader:
    def __init__(self, path):
        with open(path, 'rb') as file:
            if file.read(6)[1:] != b'NUMPY':
                raise RuntimeError('not a file\\nof this kind')
            file.seek(0)
            self.data = np.load(file)
"""


@pytest.fixture
def bioio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, code in {'bioio': BIOIO, 'bioio_nd2': READER}.items():
        (tmp_path / 'packages' / name).mkdir(parents=True)
        (tmp_path / 'packages' / name / '__init__.py').write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / 'packages')
    with open(tmp_path / 'cells.nd2', 'wb') as file:
        np.save(file, PIXELS)
    return tmp_path


def test_a_file_is_read_with_its_metadata(bioio: Path) -> None:
    image = read_stack(bioio / 'cells.nd2')
    np.testing.assert_array_equal(image.frames, PIXELS[:, 1, 0])
    assert (image.is_movie, image.pixel_size_um, image.pixel_size_from) == (True, pytest.approx(0.325), 'bioio')
    assert image.frame_interval_s == 120
    assert image.notes == (
        'the file has 2 scenes; the first, first, is taken',
        'channel 1 (Phase) of 0 (DAPI), 1 (Phase) is taken',
    )
    np.testing.assert_array_equal(read_stack(bioio / 'cells.nd2', ReadOptions(channel='DAPI')).frames, PIXELS[:, 0, 0])


def test_a_damaged_file_is_one_sentence(bioio: Path) -> None:
    (bioio / 'bad.nd2').write_bytes(b'no image')
    message = r'bad\.nd2 is damaged, or not read by bioio-nd2 \(not a file of this kind\); save it as OME-TIFF$'
    with pytest.raises(InputError, match=message):
        read_stack(bioio / 'bad.nd2')


def test_the_reader_of_its_kind_is_asked_for(bioio: Path) -> None:
    (bioio / 'cells.czi').write_bytes(b'')
    with pytest.raises(InputError, match=r'cells\.czi needs further packages: pip install bioio bioio-czi '):
        read_stack(bioio / 'cells.czi')
