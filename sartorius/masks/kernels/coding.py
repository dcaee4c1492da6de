"""Run-length codes of all cells, packed one after the other as :mod:`sartorius.masks.kernels.geometry` describes.

``text`` is uint8 ``(C,)``, the characters of all codes one after the other; ``ends`` is int64 ``(N,)``: where each
ends. A decoder also tells, as bool ``(N,)``, which codes are sound. The others come out as cells without pixels; the
slow decoders name what is wrong with them.
"""

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.compiled import compiled

Decoded = tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]
"""Pixels, windows, and which codes are valid."""


@compiled
def decode_coco(text: NDArray[np.uint8], ends: NDArray[np.int64], height: int, width: int) -> Decoded:
    """Tight crops of compressed COCO codes: 5 bits per character, column-major."""
    starts, stops = np.empty(text.size, np.int64), np.empty(text.size, np.int64)
    run_ends = np.zeros(ends.size, np.int64)
    sound = np.ones(ends.size, np.bool_)
    run = place = 0
    for cell in range(ends.size):
        first_run, index, position = run, 0, 0
        before = before_last = 0
        while place < ends[cell] and sound[cell]:
            value, shift, more = 0, 0, True
            while more and sound[cell]:
                code = np.int64(text[place]) - 48
                more = (code & 32) != 0
                value |= (code & 31) << shift
                shift += 5
                place += 1
                if not more and code & 16:
                    value -= 1 << shift
                sound[cell] = 0 <= code < 64 and shift <= 50 and (not more or place < ends[cell])
            # From the fourth number on a code holds differences to the number before the last.
            if index > 2:
                value += before_last
            before_last, before = before, value
            if value < 0 or value > height * width:
                sound[cell] = False
            if index % 2 == 1 and value > 0:
                starts[run], stops[run] = position, position + value
                run += 1
            position += value
            index += 1
        if position != height * width:
            sound[cell] = False
        if not sound[cell]:
            run = first_run
        run_ends[cell] = run
        place = ends[cell]
    pixels, windows = _paint_lines(starts, stops, run_ends, height)
    return _transposed(pixels, windows), windows[:, np.array([1, 0, 3, 2])], sound


@compiled
def decode_kaggle(text: NDArray[np.uint8], ends: NDArray[np.int64], height: int, width: int) -> Decoded:
    """Tight crops of competition codes: start and length in decimal, 1-based, row-major."""
    starts, stops = np.empty(text.size // 2 + 1, np.int64), np.empty(text.size // 2 + 1, np.int64)
    run_ends = np.zeros(ends.size, np.int64)
    sound = np.ones(ends.size, np.bool_)
    run = place = 0
    for cell in range(ends.size):
        first_run, index, start, before = run, 0, 0, 0
        while place < ends[cell] and sound[cell]:
            value = digits = 0
            while place < ends[cell] and 48 <= text[place] < 58:
                value = value * 10 + np.int64(text[place]) - 48
                digits += 1
                place += 1
                if digits > 15:
                    break
            if digits == 0 or digits > 15:
                # Spaces separate numbers; anything else is left to the slow decoder.
                sound[cell] = digits == 0 and text[place] == 32
                place += 1
                continue
            if index % 2 == 0:
                start = value - 1
                sound[cell] = start >= before
            else:
                before = start + value
                sound[cell] = value > 0 and before <= height * width
                starts[run], stops[run] = start, before
                run += 1
            index += 1
        if index % 2 == 1:
            sound[cell] = False
        if not sound[cell]:
            run = first_run
        run_ends[cell] = run
        place = ends[cell]
    pixels, windows = _paint_lines(starts, stops, run_ends, width)
    return pixels, windows, sound


@compiled
def encode_coco(
    pixels: NDArray[np.bool_], windows: NDArray[np.int64], height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Compressed COCO codes of cells inside an image: their text and where each ends."""
    columns = _transposed(pixels, windows)
    starts, stops, run_ends = _find_lines(columns, windows[:, np.array([1, 0, 3, 2])], height)
    # A number has at most 13 characters: 65 bits.
    text = np.empty(26 * starts.size + 13 * len(windows), np.uint8)
    ends = np.empty(len(windows), np.int64)
    run = place = 0
    for cell in range(len(windows)):
        position = index = before = before_last = 0
        last_run = run_ends[cell]
        while True:
            if index % 2 == 0:
                border = starts[run] if run < last_run else height * width
            else:
                border = stops[run]
                run += 1
            value = border - position
            difference = value - before_last if index > 2 else value
            before_last, before = before, value
            place = _write_coco(text, place, difference)
            position = border
            index += 1
            if position == height * width and run >= last_run:
                break
        ends[cell] = place
    return text[:place], ends


@compiled
def encode_kaggle(
    pixels: NDArray[np.bool_], windows: NDArray[np.int64], width: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Competition codes of cells inside an image of ``width`` pixels: their text and where each ends."""
    starts, stops, run_ends = _find_lines(pixels, windows, width)
    text = np.empty(40 * starts.size, np.uint8)
    ends = np.empty(len(windows), np.int64)
    run = place = 0
    for cell in range(len(windows)):
        first = run
        while run < run_ends[cell]:
            if run > first:
                text[place] = 32
                place += 1
            place = _write_decimal(text, place, starts[run] + 1)
            text[place] = 32
            place = _write_decimal(text, place + 1, stops[run] - starts[run])
            run += 1
        ends[cell] = place
    return text[:place], ends


@compiled
def _paint_lines(
    starts: NDArray[np.int64], stops: NDArray[np.int64], run_ends: NDArray[np.int64], line: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Tight crops of sorted runs of an image whose lines (rows, or columns) are ``line`` pixels long.

    A window's x runs along the line.
    """
    windows = np.zeros((run_ends.size, 4), np.int64)
    total = run = 0
    for cell in range(run_ends.size):
        first = run
        left, right = line, 0
        while run < run_ends[cell]:
            if starts[run] // line == (stops[run] - 1) // line:
                left = min(left, starts[run] % line)
                right = max(right, (stops[run] - 1) % line + 1)
            else:
                # The run continues at the beginning of the next line.
                left, right = 0, line
            run += 1
        if run > first:
            top, bottom = starts[first] // line, (stops[run - 1] - 1) // line + 1
            windows[cell, 0], windows[cell, 1], windows[cell, 2], windows[cell, 3] = left, top, right, bottom
            total += (right - left) * (bottom - top)
    pixels = np.zeros(total, np.bool_)
    base = run = 0
    for cell in range(run_ends.size):
        left, top, right, bottom = windows[cell]
        width = right - left
        while run < run_ends[cell]:
            row, column = starts[run] // line, starts[run] % line
            for _ in range(stops[run] - starts[run]):
                if column == line:
                    row, column = row + 1, 0
                pixels[base + (row - top) * width + column - left] = True
                column += 1
            run += 1
        base += width * (bottom - top)
    return pixels, windows


@compiled
def _find_lines(
    pixels: NDArray[np.bool_], windows: NDArray[np.int64], line: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Starts and stops of the runs of all cells, and where each cell's end; the inverse of :func:`_paint_lines`."""
    count = 0
    for place in range(pixels.size):
        count += pixels[place] and (place == 0 or not pixels[place - 1])
    # The end of its crop's row ends a run, too.
    for cell in range(len(windows)):
        count += windows[cell, 3] - windows[cell, 1]
    starts, stops = np.empty(count, np.int64), np.empty(count, np.int64)
    run_ends = np.empty(len(windows), np.int64)
    run = place = 0
    for cell in range(len(windows)):
        left, top, right, bottom = windows[cell]
        first = run
        for y in range(top, bottom):
            inside = False
            for x in range(left, right):
                if pixels[place] != inside:
                    if inside:
                        stops[run] = y * line + x
                        run += 1
                    elif run > first and stops[run - 1] == y * line + x:
                        # Continues from the line before.
                        run -= 1
                    else:
                        starts[run] = y * line + x
                    inside = not inside
                place += 1
            if inside:
                stops[run] = y * line + right
                run += 1
        run_ends[cell] = run
    return starts[:run], stops[:run], run_ends


@compiled
def _transposed(pixels: NDArray[np.bool_], windows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Every cell with rows and columns swapped."""
    swapped = np.empty_like(pixels)
    base = 0
    for cell in range(len(windows)):
        x1, y1, x2, y2 = windows[cell]
        width, height = x2 - x1, y2 - y1
        for row in range(height):
            for column in range(width):
                swapped[base + column * height + row] = pixels[base + row * width + column]
        base += width * height
    return swapped


@compiled
def _write_coco(text: NDArray[np.uint8], place: int, value: int) -> int:
    more = True
    while more:
        code = value & 31
        value >>= 5
        more = value != -1 if code & 16 else value != 0
        text[place] = (code | 32 if more else code) + 48
        place += 1
    return place


@compiled
def _write_decimal(text: NDArray[np.uint8], place: int, value: int) -> int:
    digits, rest = 1, value // 10
    while rest:
        digits += 1
        rest //= 10
    for index in range(place + digits - 1, place - 1, -1):
        text[index] = 48 + value % 10
        value //= 10
    return place + digits
