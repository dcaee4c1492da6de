"""Checkpoints that would run code, or do harm otherwise, in a reader that trusts what they ask for.

Each is put together from pickle's opcodes as far as torch's safe reader knows them.
"""

import io
import struct
import zipfile
from pathlib import Path

import torch


def name(module: str, attribute: str) -> bytes:
    return f'c{module}\n{attribute}\n'.encode()


def text(value: str) -> bytes:
    return b'X' + struct.pack('<I', len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b'J' + struct.pack('<i', value)


def items(*parts: bytes) -> bytes:
    return b'(' + b''.join(parts) + b't'


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + items(*arguments) + b'R'


def mapping(**values: bytes) -> bytes:
    return b'}(' + b''.join(text(key) + value for key, value in values.items()) + b'u'


def with_state(value: bytes, state: bytes) -> bytes:
    return value + state + b'b'


GETATTR = name('builtins', 'getattr')
BUFFER = name('mmengine.logging.history_buffer', 'HistoryBuffer')
NEW_BUFFER = BUFFER + b')\x81'
RAW = call(name('_codecs', 'encode'), text('12345678'), text('latin1'))
DOUBLE = call(name('numpy', 'dtype'), text('f8'), b'\x89', b'\x88')
REBUILD = name('torch._tensor', '_rebuild_from_type_v2')


def hostile_parts(marker: Path) -> dict[str, bytes]:
    """Names and pickles of values that no checkpoint needs; those that run code make the file ``marker``."""
    code_line = f'open({str(marker)!r}, "w").close()'
    code = text(code_line)
    exec_ = call(GETATTR, call(GETATTR, GETATTR, text('__self__')), text('exec'))
    plain_array = call(name('numpy._core.multiarray', '_reconstruct'), name('numpy', 'ndarray'), items(), RAW)
    return {
        # A log buffer whose state replaces its own __setstate__ by exec, found through getattr's module.
        'getattr to exec': with_state(with_state(NEW_BUFFER, mapping(__setstate__=exec_)), code),
        # torch's own helper calls whatever function stands first.
        'rebuilt by getattr': call(REBUILD, GETATTR, BUFFER, items(GETATTR, text('__self__')), b'}'),
        # The buffers' class can register functions for all of them.
        'statistics of a buffer': call(GETATTR, BUFFER, text('register_statistics')),
        'globals of a method': call(GETATTR, call(GETATTR, BUFFER, text('mean')), text('__globals__')),
        'exec by name': call(name('builtins', 'exec'), code),
        'an import': call(name('importlib', 'import_module'), text('antigravity')),
        # A number type that says it is an object of 8 bytes: the bytes would be taken for an address.
        'an address as an object': call(
            name('numpy._core.multiarray', 'scalar'), call(name('numpy', 'dtype'), text('O')), RAW
        ),
        'a type of another length': with_state(
            DOUBLE, items(number(3), text('<'), b'N', items(text('a')), mapping(a=DOUBLE), number(1 << 30), number(1))
        ),
        'an array past its bytes': with_state(
            plain_array, items(number(1), items(number(1 << 20)), DOUBLE, b'\x89', RAW)
        ),
        # Functions as values of attributes and entries.
        'a class': BUFFER,
        'a dictionary with methods': with_state(
            name('collections', 'OrderedDict') + b')R', mapping(items=name('torch', 'Size'))
        ),
        # A list that holds itself.
        'a list in itself': b']q\x01h\x01a',
        'more memory than there is': call(name('builtins', 'bytearray'), b'\x8a\x07' + b'\xff' * 6 + b'\x00'),
        # Twelve lists of ten times the one before.
        'a list of lists of lists': items(
            b'](' + b'K\x01' * 10 + b'eq\x00',
            *(b'](' + bytes([ord('h'), level]) * 10 + b'eq' + bytes([level + 1]) for level in range(11)),
        ),
        'a text that doubles forty times': _doubled(40),
        'a tensor of other numbers than weights': call(
            name('torch._utils', '_rebuild_meta_tensor_no_storage'), name('torch', 'float32'), items(number(1 << 30))
        ),
        'exec by torch itself': call(
            name('torch.storage', '_load_from_bytes'),
            call(name('_codecs', 'encode'), text(f'cbuiltins\nexec\n(V{code_line}\ntR.'), text('latin1')),
        ),
        'a tensor of more than its file': call(
            name('torch._utils', '_rebuild_tensor_v2'),
            items(text('storage'), name('torch', 'FloatStorage'), text('0'), text('cpu'), number(1)) + b'Q',
            number(0),
            items(number(1 << 20), number(1 << 20)),
            items(number(0), number(0)),
            b'\x89',
            b'}',
        ),
    }


def _doubled(times: int) -> bytes:
    value = text('0')
    for _ in range(times):
        value = call(name('_codecs', 'encode'), value, text('hex'))
    return value


def forge(path: Path, part: bytes) -> Path:
    """Writes a checkpoint whose entry ``x`` is a pickled value."""
    content = b'\x80\x02' + mapping(state_dict=b'}', meta=b'}', optimizer=b'}', x=part) + b'.'
    whole = io.BytesIO()
    torch.save({'state_dict': {'w': torch.ones(1)}}, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as target:
        for info in source.infolist():
            pickled = info.filename.endswith('data.pkl')
            target.writestr(info.filename, content if pickled else source.read(info))
    return path
