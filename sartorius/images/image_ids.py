"""Image ids: what they look like, how a file name becomes one, and which ids of two files mean the same image.

The id of an image is the path of its file below its root, without suffix, with ``/``: two files of one name in two
folders are two images. A frame of a movie is ``NAME#t0003``, counted from 0.
"""

import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from sartorius.utils.errors import InputError, shown

MAX_LENGTH = 1000
"""Characters of an id."""

MAX_NAME_BYTES = 255
"""Bytes of one folder or file in it, which file systems have as their limit."""

_DRIVE = re.compile(r'[A-Za-z]:')
_FRAME = re.compile(r'(?P<file>.+)#t(?P<frame>\d{4,})', re.DOTALL)


def image_id_of(file_name: str) -> str:
    """Id of the image in a file: the name's path without suffix.

    Folders may be separated as Windows does. Drive, root and ``.`` are dropped, ``..`` is resolved within the name and
    dropped where it leads out of it, so that ``/data/A1/img.png`` is ``data/A1/img`` and ``../A1/img.png`` is
    ``A1/img``: no id leads out of the folder in which something is written by it.

    Returns:
        The id; empty if the name is that of no file.
    """
    *folders, name = file_name.replace('\\', '/').split('/')
    stem = PurePosixPath(name).stem
    if stem in ('', '.', '..') or _DRIVE.fullmatch(stem):
        return ''
    parts: list[str] = []
    for part in folders:
        if part == '..':
            del parts[-1:]
        elif part not in ('', '.') and (parts or not _DRIVE.fullmatch(part)):
            parts.append(part)
    return '/'.join([*parts, stem])


def check_image_id(image_id: str) -> str:
    """The id itself, if files can be named by it.

    Raises:
        InputError: It is empty, has control characters or backslashes, is a path that is absolute or not direct, or is
            longer than file names are.
    """
    if (
        not image_id
        or len(image_id) > MAX_LENGTH
        or any(len(part.encode(errors='replace')) > MAX_NAME_BYTES for part in image_id.split('/'))
        or '\\' in image_id
        or _DRIVE.fullmatch(image_id.partition('/')[0])
        or any(part in ('', '.', '..') for part in image_id.split('/'))
        or any(unicodedata.category(character) in ('Cc', 'Cs') for character in image_id)
    ):
        raise InputError(
            f'{shown(image_id)} is no image id; it must be the path of a file below its root without suffix, such as '
            'A1/img'
        )
    return image_id


def path_below(root: str | Path, file_name: str) -> Path:
    """Path of a file that an annotation file names, relative to a root; an absolute name will do if it lies there.

    Raises:
        InputError: It leads out of the root, so that a file of others could get into a data set or a report.
    """
    path = Path(root, file_name)
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(root)):
        raise InputError(
            f'the image file {shown(file_name)} lies outside {root}; name the folder above both as the data root, and '
            'write file_name relative to it'
        )
    return path


def frame_id(image_id: str, frame: int) -> str:
    """Id of one frame of a movie; frames count from 0."""
    return f'{image_id}#t{frame:04d}'


def split_frame(image_id: str) -> tuple[str, int | None]:
    """Id of the file and number of the frame in it; None where the id is that of a whole file."""
    match = _FRAME.fullmatch(image_id)
    return (match['file'], int(match['frame'])) if match else (image_id, None)


def match_image_ids(ids: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Which of some known images each id means, though its path may begin at another root.

    An id is the known one that is equal to it. Where there is none, it is the one that ends with it, or the longest
    with which it ends itself, whole folder names at a time: ``img`` and ``plate/A1/img`` are ``A1/img``.

    Args:
        ids: The ids in question, each once.
        known: The ids of the set.

    Returns:
        Known id by id; those that mean no known image are left out.

    Raises:
        InputError: An id may mean two known images, or two ids the same one.
    """
    known, ids = dict.fromkeys(known), list(ids)
    matched = {image_id: image_id for image_id in ids if image_id in known}
    others = [image_id for image_id in ids if image_id not in matched]
    longer = _ends_of(known) if others else {}
    owner: dict[str, str] = {}
    for image_id in others:
        shorter = next((end for end in _ends(image_id) if end in known), None)
        found = [*longer.get(image_id, ()), *([shorter] if shorter else ())]
        if len(found) > 1:
            raise InputError(f'image {image_id} may be {found[0]} or {found[1]}; write its folder before its name')
        if found and found[0] not in matched:
            other = owner.setdefault(found[0], image_id)
            if other != image_id:
                raise InputError(
                    f'images {other} and {image_id} may both be {found[0]}; name images by the same folders'
                )
    return matched | {image_id: target for target, image_id in owner.items()}


def describe_matches(matched: Mapping[str, str]) -> str:
    """One sentence about ids that were matched though they are not equal (:func:`match_image_ids`); empty if none."""
    differing = [(image_id, target) for image_id, target in matched.items() if image_id != target]
    if not differing:
        return ''
    image_id, target = differing[0]
    return f'{len(differing):,} of {len(matched):,} images are known by the end of their path: {image_id} is {target}'


def _ends(image_id: str) -> Iterator[str]:
    """The path without its first folders, longest first."""
    while '/' in image_id:
        image_id = image_id.partition('/')[2]
        yield image_id


def _ends_of(known: Iterable[str]) -> dict[str, list[str]]:
    longer: dict[str, list[str]] = {}
    for target in known:
        for end in _ends(target):
            longer.setdefault(end, []).append(target)
    return longer
