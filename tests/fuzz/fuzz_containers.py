"""Ways to spoil archives, arrays, pickles and images that keep the structure around the spoilt part sound."""

import io
import json
import pickle
import pickletools
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from fuzz_mutations import BYTES, HUGE_FILE, MIB, TEXTS, Mutation, Random, pick, replace_at, spoil_json, spoil_tree

SIZES = (0, 1, 2, 3, 255, 30_000, 65_535, 100_000, 2**31 - 1, 2**32 - 1)
"""What headers may say of the sides and counts of an image."""


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
        for place in _finds(data, mark)
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


def _finds(data: bytes, mark: bytes) -> list[int]:
    places, place = [], data.find(mark)
    while place >= 0:
        places.append(place)
        place = data.find(mark, place + 1)
    return places


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


# Pickles


class _Call:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def spoil_pickle(rng: Random, data: bytes) -> bytes:
    """One opcode gone, twice, or with another argument; or a name of another module."""
    try:
        places = [place for _, _, place in pickletools.genops(data)]
    except Exception:
        return pick(rng, BYTES)(rng, data)
    number = int(rng.integers(len(places)))
    start, end = places[number], [*places, len(data)][number + 1]
    action = int(rng.integers(5))
    if action == 0:
        return data[:start] + data[end:]
    if action == 1:
        return data[:end] + data[start:]
    if action == 2:
        other = int(rng.integers(len(places)))
        return data[:start] + data[places[other] : [*places, len(data)][other + 1]] + data[end:]
    if action == 3:
        ops = [
            b'N',
            b'K\x00',
            b'\x88',
            b'}',
            b']',
            b'(',
            b'0',
            b'R',
            b'b',
            b'\x81',
            b'.',
            b'X\xff\xff\xff\x7f',
            b'J\xff\xff\xff\xff',
            b'Q',
        ]
        return data[:start] + pick(rng, ops) + data[end:]
    names = [
        b'builtins\nexec',
        b'builtins\ngetattr',
        b'os\nsystem',
        b'numpy\nfromfile',
        b'numpy\nndarray',
        b'builtins\nbytearray',
    ]
    return data[:start] + b'c' + pick(rng, names) + b'\n' + data[start:]


def hostile_pickle(rng: Random, data: bytes) -> bytes:
    """A pickle that would run code, or take memory or for ever, if its calls were made."""
    calls = [
        _Call(exec, 'raise SystemExit'),
        _Call(bytearray, 3 << 30),
        _Call(np.zeros, 3 << 30),
        _Call(getattr, getattr, '__self__'),
        _Call(pow, 10, 10**9),
        _Call(open, '/dev/zero'),
        _Call(range, 10**12),
    ]
    deep: list = []
    for _ in range(300):
        deep = [deep]
    made: dict = {'masks': pick(rng, [*calls, deep]), 'state_dict': pick(rng, calls), 'meta': {}}
    return pickle.dumps(made, protocol=int(pick(rng, [2, 4])))


# PNG


def spoil_png(rng: Random, data: bytes) -> bytes:
    """Chunks gone, twice or in another order, another header, or other text, with right checksums."""
    chunks = list(_png_chunks(data))
    if len(chunks) < 2:
        return pick(rng, BYTES)(rng, data)
    number = int(rng.integers(len(chunks)))
    action = int(rng.integers(6))
    if action == 0:
        del chunks[number]
    elif action == 1:
        chunks.insert(number, chunks[number])
    elif action == 2:
        chunks[0] = b'IHDR', _png_header(rng, chunks[0][1])
    elif action == 3:
        bomb = b'text\x00\x00' + zlib.compress(bytes(64 * MIB), 9)
        names = [
            (b'zTXt', bomb),
            (b'iCCP', bomb),
            (b'acTL', b'\x7f\xff\xff\xff\x00\x00\x00\x00'),
            (b'PLTE', bytes(5)),
            (b'tRNS', bytes(9)),
            (b'eXIf', b'II*\x00'),
        ]
        chunks.insert(1, pick(rng, names))
    elif action == 4:
        kind, content = chunks[number]
        chunks[number] = kind, pick(rng, BYTES)(rng, content)
    else:
        chunks.insert(1, (b'IDAT', zlib.compress(bytes(100))))
    return data[:8] + b''.join(map(_png_chunk, *zip(*chunks, strict=True)))


def big_png(rng: Random, data: bytes) -> bytes:
    """A sound PNG of 30,000 x 30,000 black pixels in about a megabyte."""
    return _black_png(int(pick(rng, [0, 2])))


@cache
def _black_png(kind: int) -> bytes:
    side, channels = 30_000, 3 if kind == 2 else 1
    packer, row = zlib.compressobj(1), bytes(1 + side * channels)
    packed = b''.join(packer.compress(row * 10) for _ in range(side // 10)) + packer.flush()
    header = struct.pack('>IIBBBBB', side, side, 8, kind, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + b''.join(map(_png_chunk, (b'IHDR', b'IDAT', b'IEND'), (header, packed, b'')))


def _png_header(rng: Random, header: bytes) -> bytes:
    if rng.random() < 0.6:
        return replace_at(header, int(pick(rng, [0, 4])), '>I', int(pick(rng, SIZES)))
    return replace_at(header, int(rng.integers(8, 13)), '>B', int(pick(rng, [0, 1, 2, 3, 4, 5, 6, 8, 16, 255])))


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    place, chunks = 8, []
    while place + 8 <= len(data):
        (length,) = struct.unpack('>I', data[place : place + 4])
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += length + 12
    return chunks


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


# TIFF


def spoil_tiff(rng: Random, data: bytes) -> bytes:
    """One entry of a directory gets another tag, type, count or value; or a chain of directories has no end."""
    order = '<' if data[:2] == b'II' else '>'
    if data[2:4] not in (b'*\x00', b'\x00*'):
        return pick(rng, BYTES)(rng, data)
    (first,) = struct.unpack(f'{order}I', data[4:8])
    directories, place = [], first
    while place and place + 2 <= len(data) and place not in directories:
        directories.append(place)
        (count,) = struct.unpack(f'{order}H', data[place : place + 2])
        end = place + 2 + 12 * count
        place = struct.unpack(f'{order}I', data[end : end + 4])[0] if end + 4 <= len(data) else 0
    place = pick(rng, directories)
    (count,) = struct.unpack(f'{order}H', data[place : place + 2])
    action = int(rng.integers(8))
    entry = place + 2 + 12 * int(rng.integers(max(1, count)))
    if action == 0:
        return replace_at(
            data, place + 2 + 12 * count, f'{order}I', int(pick(rng, [first, place, 1, len(data), 2**32 - 1]))
        )
    if action == 1:
        return replace_at(data, place, f'{order}H', int(pick(rng, [0, 1, count - 1, count + 1, 65535])))
    if action == 2:
        return replace_at(
            data,
            entry,
            f'{order}H',
            int(pick(rng, [254, 256, 257, 258, 259, 262, 277, 322, 323, 324, 330, 338, 339, 347, 34412])),
        )
    if action == 3:
        return replace_at(data, entry + 2, f'{order}H', int(pick(rng, [0, 1, 2, 3, 4, 5, 11, 12, 13, 16, 200])))
    if action == 4:
        return replace_at(data, entry + 4, f'{order}I', int(pick(rng, [0, 2, 3, 1000, 2**31, 2**32 - 1])))
    wanted = {
        256: SIZES,
        257: SIZES,
        258: (0, 1, 4, 12, 16, 32, 64),
        259: (1, 2, 5, 7, 8, 50000, 34712),
        277: (0, 2, 3, 4, 5, 65535),
        262: (0, 1, 2, 3, 5, 6, 8),
    }
    tagged = [
        (start, tag)
        for start in range(place + 2, place + 2 + 12 * count, 12)
        for (tag,) in [struct.unpack(f'{order}H', data[start : start + 2])]
        if tag in wanted
    ]
    if action in (5, 6) and tagged:
        start, tag = pick(rng, tagged)
        short = struct.unpack(f'{order}H', data[start + 2 : start + 4])[0] == 3
        return replace_at(data, start + 8, f'{order}H' if short else f'{order}I', int(pick(rng, wanted[tag])))
    return replace_at(data, entry + 8, f'{order}I', int(pick(rng, [0, 1, 2, 8, len(data), 65536, 2**31, 2**32 - 1])))


def tiff_words(rng: Random, data: bytes) -> bytes:
    """Numbers in the descriptions of ImageJ, OME and tifffile become extreme ones; the file keeps its length."""
    marks = [
        mark
        for mark in (
            b'images=',
            b'frames=',
            b'slices=',
            b'channels=',
            b'SizeX="',
            b'SizeT="',
            b'SizeC="',
            b'SizeZ="',
            b'"shape": [',
            b'spacing=',
            b'finterval=',
            b'unit=',
            b'PhysicalSizeX="',
            b'TimeIncrement="',
            b'DimensionOrder="',
            b'Type="',
            b'FirstT="',
            b'IFD="',
        )
        if mark in data
    ]
    if not marks:
        return spoil_tiff(rng, data)
    mark = pick(rng, marks)
    place = data.find(mark) + len(mark)
    word = pick(rng, [b'0', b'9', b'-', b'1e', b'9' * 4, b'9' * 9, b'nan', b'x', b'"', b'<', b'\x00', b'\xff'])
    return data[:place] + word + data[place + len(word) :]


# JPEG and BMP


def spoil_jpeg(rng: Random, data: bytes) -> bytes:
    """Another size or number of channels in the frame's header, or another length of a segment."""
    frames = [place for mark in (b'\xff\xc0', b'\xff\xc1', b'\xff\xc2') for place in _finds(data, mark)][:1]
    if frames and rng.random() < 0.6:
        return replace_at(
            data, frames[0] + int(pick(rng, [5, 7])), '>H', int(pick(rng, [0, 1, 30_000, 65_500, 65_535]))
        )
    if frames and rng.random() < 0.3:
        return replace_at(
            data, frames[0] + int(pick(rng, [1, 4, 9, 10, 11])), '>B', int(pick(rng, [0, 1, 2, 4, 12, 0xC3, 255]))
        )
    places = [place for place in _finds(data, b'\xff') if data[place + 1 : place + 2] not in (b'', b'\x00')]
    return replace_at(data, pick(rng, places) + 2, '>H', int(pick(rng, [0, 1, 2, 65_535])))


def spoil_bmp(rng: Random, data: bytes) -> bytes:
    """Another number in the header of 54 bytes: size, depth, compression, offset of the pixels."""
    place, form = pick(
        rng,
        [(10, '<I'), (14, '<I'), (18, '<I'), (22, '<I'), (26, '<H'), (28, '<H'), (30, '<I'), (34, '<I'), (46, '<I')],
    )
    return replace_at(data, place, form, int(pick(rng, [*SIZES, 4, 8, 12, 16, 24, 32, 2**31])))


# Checkpoints: a zip of a pickle and of the bytes of its tensors


def spoil_checkpoint(rng: Random, data: bytes) -> bytes:
    """The plain values of a checkpoint with one to three parts changed; tensors among them."""
    import torch

    content = torch.load(io.BytesIO(data), weights_only=True)
    holder = {'content': content}
    for _ in range(rng.integers(1, 3)):
        _spoil_plain(rng, holder, torch)
    buffer = io.BytesIO()
    torch.save(holder.get('content'), buffer)
    return buffer.getvalue()


def _spoil_plain(rng: Random, holder: dict, torch: object) -> None:
    """Walks down to a random part; leaves become other values, tensors other tensors."""
    key = 'content'
    while isinstance(holder.get(key), dict) and holder[key] and rng.random() < 0.85:
        holder = holder[key]
        key = pick(rng, list(holder))
    value = holder.get(key)
    # One that an earlier change has expanded would take terabytes to compute with.
    if isinstance(value, torch.Tensor) and value.numel() < MIB:
        shaped = [
            value.flatten()[:-1],
            value.double(),
            value.half(),
            value.to(torch.int64),
            value[None],
            value * float('nan'),
            value * float('inf'),
            torch.zeros(1).expand(1 << 40),
            value.to_sparse() if value.dim() else value,
            torch.empty(0),
            value.tolist(),
            value.bool(),
            torch.zeros(2, dtype=torch.complex64),
            value.numel(),
        ]
        holder[key] = pick(rng, shaped)
    elif rng.random() < 0.3:
        holder.pop(key, None)
    else:
        try:
            holder[key] = spoil_tree(rng, {'value': json.loads(json.dumps(value))}).get('value')
        except (TypeError, ValueError):
            holder[key] = None


NPZ: tuple[Mutation, ...] = (
    inside_zip(spoil_npy),
    inside_zip(spoil_npy),
    inside_zip(spoil_npy),
    spoil_zip,
    zip_directory,
)
PNG: tuple[Mutation, ...] = (spoil_png, spoil_png)
TIFF: tuple[Mutation, ...] = (spoil_tiff, spoil_tiff, spoil_tiff, tiff_words)
