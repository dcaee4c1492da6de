"""The room in which files from outside are opened: what it refuses, what it reads, and that nothing passes by it."""

import ast
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sartorius.utils.errors import InputError
from sartorius.utils.input_files import DamagedFileError, parse_npy, read_bytes, read_zip
from sartorius.utils.input_text import parse_json, read_csv_table, read_json, read_yaml

# Calls that open or parse a file, and the modules that may make them, with the reason.
READERS = {
    'csv.reader', 'csv.DictReader', 'cv2.imdecode', 'cv2.imread', 'cv2.imreadmulti', 'gzip.open', 'json.load',
    'json.loads', 'np.fromfile', 'np.genfromtxt', 'np.load', 'np.loadtxt', 'np.memmap', 'pd.read_csv', 'pd.read_json',
    'pickle.load', 'pickle.loads', 'tarfile.open', 'tifffile.TiffFile', 'tifffile.imread', 'torch.load', 'yaml.load',
    'yaml.safe_load', 'zipfile.ZipFile', 'Image.open', 'ImagejRoi.fromfile', 'ElementTree.parse', 'open', '.open',
    '.read_text', '.read_bytes',
}  # fmt: skip
ROOMS = {
    'utils/input_files.py': 'the room itself',
    'utils/input_text.py': 'the room itself',
    'utils/pending.py': 'its own journals, before the room opens a file beside them',
    'utils/locks.py': 'its own lock files',
    'utils/checkpoint_files.py': 'the directory of a zip, of which nothing is unpacked',
    'images/reading.py': 'decodes what it has checked',
    'images/tiff.py': 'decodes what it has checked',
    'models/checkpoints.py': 'the one loader of checkpoints, with limits of its own',
    'annotations/download.py': 'unpacks to the disk, not to memory',
    'visualization/page.py': 'templates of the package',
    'workflow/runner.py': 'its own logs',
    'engine/run_record.py': '/proc/cpuinfo',
    '__main__.py': 'tools of the project',
    'check_env.py': 'the lock file of the project',
    'setup_env.py': 'runs before the package is installed',
    'audit.py': 'the answer of pip-audit, which it has started',
}


def reading_calls(tree: ast.AST) -> Iterator[str]:
    """The calls of :data:`READERS` in a module; opening a file to write it is none."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                names = {name}
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=attribute)) if owner != 'os':
                names = {f'{owner}.{attribute}', f'.{attribute}'}
            case ast.Call(func=ast.Attribute(value=value, attr=attribute)) if not isinstance(value, ast.Name):
                names = {f'.{attribute}'}
            case _:
                continue
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        modes = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if names & READERS and not any(mode.strip('btx+') in ('w', 'a') for mode in modes):
            yield f'{max(names)} in line {node.lineno}'


def test_no_other_module_opens_files_to_read_them(repo_root: Path) -> None:
    passing_by = []
    for path in [*(repo_root / 'sartorius').rglob('*.py'), *(repo_root / 'tools').rglob('*.py')]:
        if not path.as_posix().endswith(tuple(ROOMS)):
            passing_by += [f'{path}: {call}' for call in reading_calls(ast.parse(path.read_text(encoding='utf-8')))]
    assert not passing_by, 'read files with sartorius.utils.input_files or input_text, which hold them to limits'


def test_such_calls_are_found() -> None:
    code = "np.load(path)\npath.read_text()\nopen(path)\n(a / b).open('rb')\nopen(path, 'w')\nos.open(path, 0)"
    found = ['np.load in line 1', 'path.read_text in line 2', 'open in line 3', '.open in line 4']
    assert sorted(reading_calls(ast.parse(code)), key=lambda call: call[-1]) == found


LAUGHS = 'a: &a [x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'{name}: &{name} [{", ".join([f"*{former}"] * 9)}]\n' for former, name in zip('abcdefgh', 'bcdefghi', strict=True)
)
CHAIN = 'v0: &v0 [1]\n' + ''.join(f'v{number}: &v{number} [*v{number - 1}]\n' for number in range(1, 120))


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('a.json', '[' * 100_000 + ']' * 100_000, 'more than 100 levels'),
        ('a.json', '["]",' * 101 + '1' + ']' * 101, 'more than 100 levels'),
        ('a.json', '["\\\\]\\"",' * 101 + '1' + ']' * 101, 'more than 100 levels'),
        ('a.json', f'[{"9" * 5000}]', r'a whole number of 5000 digits, 99999999999999999999\.\.\.; at most 64 bits'),
        ('a.json', '[-9223372036854775809]', 'a whole number of 19 digits'),
        ('a.json', '{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands twice in an object"),
        ('a.json', '{"a": ":", "\\\\": "\\":", "id": 7, "c" : ["{", {}], "c":2}', "'c' stands twice .* with the id 7"),
        ('a.json', '{"a": [' + '"[:",' * 50_000 + '1], "b": 1, "b": 2}', "'b' stands twice in an object"),
        ('a.json', '{"a\ud800": 1}', 'not JSON'),
        ('a.json', '', 'not JSON'),
        ('a.json', '[1e999]', 'the number 1e999, which is not finite'),
        ('a.json', '[NaN]', 'the number NaN, which is not finite'),
        ('a.yaml', LAUGHS, 'more than 50,000 values when its aliases are written out'),
        ('a.yaml', CHAIN, 'more than 100 levels'),
        ('a.yaml', '[' * 101 + ']' * 101, 'more than 100 levels'),
        ('a.yaml', 'a: &a [*a]', 'an alias stands for a value that it is part of'),
        ('a.yaml', f'a: {"9" * 5000}', 'a whole number of 5,000 digits'),
        ('a.yaml', f'a: {"9" * 30}', 'a whole number beyond 64 bits'),
        ('a.yaml', 'a: 1\nb: {c: 1, c: 2}', "the key 'c' stands twice in a mapping"),
        ('a.yaml', 'a: !!float ""', 'not valid YAML'),
        ('a.yaml', 'a: !!timestamp x', 'not valid YAML'),
        ('a.yaml', 'a: !!python/object/apply:os.getcwd []', 'could not determine a constructor'),
        ('a.yaml', 'a: \0', 'not valid YAML'),
        ('a.yaml', '#' * (1 << 17) + '#', 'has 131,073 bytes, such a file has at most 131,072'),
        ('a.csv', 'a,b\n1,"2', 'line 2 is no CSV row'),
        ('a.csv', 'a,b\n1,\ud800', 'not a text file in UTF-8'),
        ('a.csv', 'a,b\n1', 'line 2 has 1 fields, the header 2'),
        ('a.csv', 'a,c\n1,2', 'column b is missing; write it'),
    ],
)
def test_text_that_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode('utf-8', errors='surrogatepass'))
    readers = {
        '.json': lambda: read_json(path, finite=True),
        '.yaml': lambda: read_yaml(path),
        '.csv': lambda: read_csv_table(path, ['a', 'b'], 'write it'),
    }
    with pytest.raises(InputError, match=message) as caught:
        readers[path.suffix]()
    assert str(caught.value).startswith(f'{path}: ')
    assert '\n' not in str(caught.value)


def test_text_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    path.write_bytes('\ufeff{"a": [9223372036854775807, "[[[", "\\u00e9"]}'.encode())
    assert read_json(path) == {'a': [2**63 - 1, '[[[', 'é']}
    assert parse_json(f'"{"0" * 5000}"'.encode()) == '0' * 5000
    assert parse_json(f'{{"x": {"[" * 98}1{"]" * 98}}}'.encode())
    # An alias and a merged key, as configs of workflows have them.
    path.write_text('a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n', encoding='utf-8')
    assert read_yaml(path) == {'a': {'x': 1, 'y': 2}, 'b': {'x': 3, 'y': 2}}
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n1,2\r\n\r\n')
    assert read_csv_table(path, ['b'], '') == [{'a': '1', 'b': '2'}]


@pytest.mark.parametrize(
    ('name', 'text'), [('a.json', b'[' + b'[],' * (1 << 21) + b'1]'), ('a.csv', b'a,b\n' * (1 << 20))]
)
def test_text_that_would_become_much_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: bytes
) -> None:
    (tmp_path / name).write_bytes(text)
    monkeypatch.setenv('SARTORIUS_MAX_FILE_GIB', '0.125')
    with pytest.raises(InputError, match=r'would take 0\.\d GiB of memory, more than the 0\.1 GiB .* set SARTORIUS'):
        read_json(tmp_path / name) if name == 'a.json' else read_csv_table(tmp_path / name, ['a'], '')


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'link').symlink_to(tmp_path / 'pipe')
    (tmp_path / 'circle').symlink_to(tmp_path / 'circle')
    for name in ('pipe', 'link'):
        with pytest.raises(InputError, match='is not a regular file but a pipe, socket or device; copy it to a file'):
            read_json(tmp_path / name)
    with pytest.raises(InputError, match='is a folder; name a file in it'):
        read_bytes(tmp_path)
    with pytest.raises(InputError, match='is no path of a file'):
        read_bytes('a\0b')
    with pytest.raises(OSError, match='symbolic links'):
        read_bytes(tmp_path / 'circle')


def test_a_file_with_holes_is_not_as_large_as_it_says(tmp_path: Path) -> None:
    with open(tmp_path / 'a.json', 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match='reading it would take 1,024 GiB of memory, more than the 1 GiB'):
        read_json(tmp_path / 'a.json')


def zip_of(path: Path, content: bytes, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, 'w', packing) as archive:
        archive.writestr('a', content)
        archive.writestr('b', b'other')
    return path


def test_a_zip_is_read_as_far_as_it_is_wanted_and_allowed(tmp_path: Path) -> None:
    path = zip_of(tmp_path / 'a.zip', bytes(1 << 22))
    names, members = read_zip(path, lambda name: name == 'b')
    assert (names, members) == (['a', 'b'], {'b': b'other'})
    with pytest.raises(InputError, match='reading it would take 2 GiB of memory'):
        read_zip(path, lambda name: name == 'a', copies=512)
    data = path.read_bytes()
    path.write_bytes(data.replace((1 << 22).to_bytes(4, 'little'), (1 << 31).to_bytes(4, 'little')))
    with pytest.raises(DamagedFileError, match='cannot be 2,147,483,648'):
        read_zip(path, lambda name: name == 'a')


@pytest.mark.parametrize('shape', [b'(2,30)', b'(2, -3)'[:6], b'(2, 2)', b'(2**9)', b'((((((', b'"2, 3"'])
def test_an_array_that_is_not_as_large_as_it_says_is_refused(shape: bytes) -> None:
    stream = io.BytesIO()
    np.save(stream, np.arange(6).reshape(2, 3))
    assert parse_npy(stream.getvalue()).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(DamagedFileError, match='no array of numbers'):
        parse_npy(stream.getvalue().replace(b'(2, 3)', shape))
