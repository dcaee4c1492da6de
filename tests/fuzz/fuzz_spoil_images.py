"""Ways to spoil the headers, chunks and directories of PNG, TIFF, JPEG and BMP around sound pixels."""

import struct
import zlib
from functools import cache

from fuzz_mutations import BYTES, MIB, Mutation, Random, find_all, pick, replace_at

SIZES = (0, 1, 2, 3, 255, 30_000, 65_535, 100_000, 2**31 - 1, 2**32 - 1)
"""What headers may say of the sides and counts of an image."""


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
    frames = [place for mark in (b'\xff\xc0', b'\xff\xc1', b'\xff\xc2') for place in find_all(data, mark)][:1]
    if frames and rng.random() < 0.6:
        return replace_at(
            data, frames[0] + int(pick(rng, [5, 7])), '>H', int(pick(rng, [0, 1, 30_000, 65_500, 65_535]))
        )
    if frames and rng.random() < 0.3:
        return replace_at(
            data, frames[0] + int(pick(rng, [1, 4, 9, 10, 11])), '>B', int(pick(rng, [0, 1, 2, 4, 12, 0xC3, 255]))
        )
    places = [place for place in find_all(data, b'\xff') if data[place + 1 : place + 2] not in (b'', b'\x00')]
    return replace_at(data, pick(rng, places) + 2, '>H', int(pick(rng, [0, 1, 2, 65_535])))


def spoil_bmp(rng: Random, data: bytes) -> bytes:
    """Another number in the header of 54 bytes: size, depth, compression, offset of the pixels."""
    place, form = pick(
        rng,
        [(10, '<I'), (14, '<I'), (18, '<I'), (22, '<I'), (26, '<H'), (28, '<H'), (30, '<I'), (34, '<I'), (46, '<I')],
    )
    return replace_at(data, place, form, int(pick(rng, [*SIZES, 4, 8, 12, 16, 24, 32, 2**31])))


PNG: tuple[Mutation, ...] = (spoil_png, spoil_png)
TIFF: tuple[Mutation, ...] = (spoil_tiff, spoil_tiff, spoil_tiff, tiff_words)
