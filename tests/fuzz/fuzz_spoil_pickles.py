"""Ways to spoil pickles, and checkpoints, which are archives of a pickle and of the bytes of its tensors."""

import io
import json
import pickle
import pickletools
from collections.abc import Callable

import numpy as np
from fuzz_mutations import BYTES, MIB, Random, pick
from fuzz_spoil_text import spoil_tree

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
