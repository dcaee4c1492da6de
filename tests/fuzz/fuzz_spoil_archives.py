"""Ways to spoil zip archives and numpy's arrays that keep the structure around the spoilt part sound."""

import io
import struct
import warnings
import zipfile
import zlib
from functools import cache

import numpy as np
from fuzz_mutations import BYTES, HUGE_FILE, MIB, TEXTS, Mutation, Random, find_all, pick, replace_at
from fuzz_spoil_text import spoil_json

# Zip archives


def members(data: bytes) -> dict[str, bytes]:
    """Content of a sound archive by name; other files are one member of no name."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return {'data': data}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of some members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', compression) as made:
        for name, one in content.items():
            made.writestr(zipfile.ZipInfo(name), one, compression)
    return buffer.getvalue()


def same_zip(rng: Random, data: bytes) -> bytes:
    """The same members, stored or compressed."""
    return archive(members(data), int(pick(rng, [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))


def spoil_zip(rng: Random, data: bytes) -> bytes:
    """Members gone, renamed, swapped, there twice, or named as no file of the archive is."""
    content = members(data)
    name = pick(rng, list(content))
    action = int(rng.integers(6))
    if action == 0:
        del content[name]
    elif action == 1:
        content[str(pick(rng, [text for text in TEXTS if text and len(text) < 1000 and '\ud800' not in text]))] = (
            content.pop(name)
        )
    elif action == 2:
        other = pick(rng, list(content))
        content[name], content[other] = content[other], content[name]
    elif action == 3:
        content[f'../{name}'] = content[name]
    elif action == 4:
        buffer = io.BytesIO(data)
        with warnings.catch_warnings(action='ignore'), zipfile.ZipFile(buffer, 'a') as made:
            made.writestr(zipfile.ZipInfo(name), pick(rng, list(content.values())))
        return buffer.getvalue()
    else:
        return archive(content, int(pick(rng, [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])))
    return archive(content)


def zip_directory(rng: Random, data: bytes) -> bytes:
    """One number of the central directory, of its end or of a local header becomes an extreme one."""
    starts = [
        (place, length)
        for mark, length in ((b'PK\x01\x02', 46), (b'PK\x03\x04', 30), (b'PK\x05\x06', 22))
        for place in find_all(data, mark)
    ]
    if not starts:
        return data
    place, length = pick(rng, starts)
    form = str(pick(rng, ['<H', '<I']))
    value = int(pick(rng, [0, 1, 8, 12, 14, 93, 99, 65535, 2**31 - 1, 2**32 - 1]))
    return replace_at(data, place + 4 + 2 * int(rng.integers((length - 6) // 2)), form, value)


def zip_bomb(rng: Random, data: bytes) -> bytes:
    """A member grows to 3 GiB of zeros that take few bytes in the archive."""
    content = members(data)
    name = pick(rng, list(content))
    return _with_bomb(content, name)


def inside_zip(*mutations: Mutation) -> Mutation:
    """Spoils the content of one member; the archive around it is sound."""

    def spoil(rng: Random, data: bytes) -> bytes:
        content = members(data)
        name = pick(rng, list(content))
        content[name] = pick(rng, mutations)(rng, content[name])
        return archive(content)

    return spoil


@cache
def _zeros() -> tuple[bytes, int]:
    """Raw deflate stream of 3 GiB of zeros, and its checksum."""
    packer, block, check = zlib.compressobj(9, zlib.DEFLATED, -15), bytes(16 * MIB), 0
    # Of a repeated block the compressed bytes repeat too, once the packer has settled.
    packed = [packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)]
    count = HUGE_FILE // len(block)
    for _ in range(count):
        check = zlib.crc32(block, check)
    return packed[0] * (count - 1) + packer.compress(block) + packer.flush(), check


def _with_bomb(content: dict[str, bytes], name: str) -> bytes:
    """An archive whose member is made by hand, since zipfile would have to compress it."""
    packed, check = _zeros()
    start = content[name][:128] if content[name][:6] == b'\x93NUMPY' else b''
    if start:
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({HUGE_FILE},), }}".ljust(117) + '\n'
        start = b'\x93NUMPY\x01\x00' + struct.pack('<H', 118) + header.encode()
        stored = struct.pack('<BHH', 0, len(start), len(start) ^ 0xFFFF) + start
        packed = stored + packed
        whole = zlib.crc32(bytes(16 * MIB), zlib.crc32(start))
        for _ in range(HUGE_FILE // (16 * MIB) - 1):
            whole = zlib.crc32(bytes(16 * MIB), whole)
        check = whole
    rest = {key: value for key, value in content.items() if key != name}
    base = archive(rest)
    directory = base.rfind(b'PK\x05\x06')
    (offset,) = struct.unpack('<I', base[directory + 16 : directory + 20])
    size = HUGE_FILE + len(start)
    common = struct.pack('<HHHHHIIIHH', 20, 0, 8, 0, 33, check, len(packed), size, len(name), 0)
    local = b'PK\x03\x04' + common + name.encode() + packed
    entry = b'PK\x01\x02' + struct.pack('<H', 20) + common + struct.pack('<HHHII', 0, 0, 0, 0, offset) + name.encode()
    entries = base[offset:directory] + entry
    end = struct.pack(
        '<4sHHHHIIH', b'PK\x05\x06', 0, 0, len(rest) + 1, len(rest) + 1, len(entries), offset + len(local), 0
    )
    return base[:offset] + local + entries + end


# numpy's arrays


def spoil_npy(rng: Random, data: bytes) -> bytes:
    """An array of another type, shape or content; or the header says what the content is not."""
    if data[:6] != b'\x93NUMPY':
        return pick(rng, [*BYTES, spoil_json])(rng, data)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError:
        return pick(rng, BYTES)(rng, data)
    if array.dtype == np.uint8 and array.ndim == 1 and array[:1].tobytes() == b'{':
        text = spoil_json(rng, array.tobytes())
        return _npy(np.frombuffer(text, np.uint8))
    action = int(rng.integers(7))
    if action == 0:
        kind = str(pick(rng, ['?', 'i1', '<u2', '>i4', '<i8', '<u8', '<f2', '<f8', '>f4', '<c8', 'S4', '<U3', 'M8[s]']))
        with np.errstate(all='ignore'):
            return _npy(array.astype(kind) if kind not in ('S4', '<U3', 'M8[s]') else np.zeros(array.shape, kind))
    if action == 1:
        shapes = [
            array.ravel(),
            array[None],
            array[:-1],
            array.T,
            np.concatenate([array, array]),
            array[..., :-1],
            array[:0],
            array.sum(),
        ]
        return _npy(np.asarray(pick(rng, shapes) if array.ndim else array[None]))
    if action == 2 and array.size:
        changed = np.array(array)
        with np.errstate(all='ignore'):
            value = np.array(
                pick(rng, [np.nan, np.inf, -np.inf, -1, 0, 1, 2, 0.5, 1e30, -1e30, 255, 3e38, 1e-40])
            ).astype(array.dtype)
        chosen = rng.integers(changed.size, size=int(pick(rng, [1, 1, 3, changed.size])))
        changed.ravel()[chosen] = value
        return _npy(changed)
    if action == 3:
        return _npy(np.array(['pickled', {}], dtype=object))
    start = data.find(b'{')
    end = data.find(b'\n', start)
    header = data[start:end].decode('latin-1')
    shape = str(tuple(array.shape))
    changes = [
        (shape, '(4000000000,)'),
        (shape, '(-1,)'),
        (shape, '(0, 9999999999)'),
        (shape, "('a',)"),
        (shape, '(' * 300 + ')' * 300),
        (shape, '()'),
        ('False', 'True'),
        ('False', '1'),
        ("'descr'", "'dtype'"),
        ("'descr': '", "'descr': '|O"),
        ("'descr': '", "'descr': 'x"),
        (shape, '(1.5,)'),
        (shape, '(True,)'),
        (shape, '(2**62, 2**62)'),
        (shape, f'({2**62}, {2**62})'),
        (shape, '9' * 5000),
        ('{', '{' * 200),
    ]
    changed_header = header.replace(*pick(rng, changes)).rstrip()
    return _npy_with(changed_header, data[end + 1 :])


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _npy_with(header: str, content: bytes) -> bytes:
    padded = header + ' ' * (-(len(header) + 11) % 64) + '\n'
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(padded) % 65536) + padded.encode('latin-1') + content


NPZ: tuple[Mutation, ...] = (
    inside_zip(spoil_npy),
    inside_zip(spoil_npy),
    inside_zip(spoil_npy),
    spoil_zip,
    zip_directory,
)
