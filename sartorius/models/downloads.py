"""Weights at an address: downloaded once, whole or not at all, and known by the whole address and by their hash."""

import hashlib
import http.client
import re
import sys
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

import torch

from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path, sha256_of, write_text
from sartorius.utils.input_text import read_text
from sartorius.utils.locks import locked

MAX_BYTES = 16 << 30
"""Size up to which weights are downloaded; larger files are fetched by other means and named by their path."""
SECONDS_OF_SILENCE = 60.0
_BLOCK = 1 << 20
_HASH = re.compile(r'sha256=([0-9a-fA-F]{6,64})')


def download(address: str) -> Path:
    """Local file of what is at an address; it is downloaded if it is not there or not what was downloaded.

    Several processes may ask at once: the first one downloads.

    Args:
        address: ``http://`` or ``https://``; may end in ``#sha256=`` and the hash of the file or its first digits.

    Raises:
        InputError: The download failed, is too large, cut short or of another hash.
    """
    address_hash(address)
    target = cached_file(address)
    try:
        with locked([target.with_name(f'{target.name}.lock')], lambda: None):
            if not _is_sound(target):
                with atomic_path(target) as temporary:
                    digest = _fetch(address, temporary)
                write_text(_note(target), digest)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, 'reason', error)
        raise InputError(
            f'cannot download the pre-trained weights {address} ({reason}); either fetch that file elsewhere and give '
            'it with --load-from FILE, or train without it: --from-scratch, or a small variant from the model of the '
            'package: --small --from-shipped'
        ) from None
    return target


def cached_file(address: str) -> Path:
    """Where what is at an address is kept: two addresses never share a file."""
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    name = re.sub(r'[^\w.-]', '_', unquote(urlsplit(address).path).rsplit('/', 1)[-1])[-100:]
    return Path(torch.hub.get_dir()) / 'checkpoints' / f'{digest}-{name}'


def address_hash(address: str) -> str:
    """Hash, or its first digits, that an address asks for; empty if it asks for none.

    Raises:
        InputError: What stands behind ``#`` is no such hash.
    """
    fragment = urlsplit(address).fragment
    if not fragment:
        return ''
    match = _HASH.fullmatch(fragment)
    if match is None:
        raise InputError(
            f'weights {address}: #{fragment[:80]} is no hash; write #sha256= and its 64 hexadecimal digits, or the '
            'first six or more of them'
        )
    return match[1].lower()


def _is_sound(target: Path) -> bool:
    """Whether a file is there with the hash that it was downloaded with."""
    try:
        return sha256_of(target) == read_text(_note(target))
    except (OSError, InputError):
        return False


def _note(target: Path) -> Path:
    return target.with_name(f'{target.name}.sha256')


def _fetch(address: str, out: Path) -> str:
    """Downloads a file, with a progress bar where there is a terminal; returns its SHA-256."""
    from tqdm import tqdm

    request = urllib.request.Request(address, headers={'User-Agent': 'sartorius'})
    length, hashed = 0, hashlib.sha256()
    with urllib.request.urlopen(request, timeout=SECONDS_OF_SILENCE) as answer, out.open('wb') as file:
        declared = answer.headers.get('Content-Length', '')
        size = int(declared) if declared.isdecimal() else None
        with tqdm(total=size, unit='B', unit_scale=True, desc='weights', disable=not sys.stderr.isatty()) as bar:
            while (size or 0) <= MAX_BYTES and length <= MAX_BYTES and (block := answer.read(_BLOCK)):
                length += len(block)
                hashed.update(block)
                file.write(block)
                bar.update(len(block))
    if max(size or 0, length) > MAX_BYTES:
        raise InputError(
            f'weights {address}: larger than {MAX_BYTES >> 30} GiB; fetch the file by other means and name its path'
        )
    if size not in (None, length):
        raise OSError(f'the connection ended after {length:,} of {size:,} bytes')
    digest = hashed.hexdigest()
    if not digest.startswith(address_hash(address)):
        raise InputError(f'weights {address}: what is there has the SHA-256 {digest}; it is not the file that is meant')
    return digest
