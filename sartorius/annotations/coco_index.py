"""Images, categories and annotations of a COCO file by their ids: what every reader of COCO JSON begins with."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sartorius.annotations.structures import CocoImage
from sartorius.images.image_ids import check_image_id, image_id_of
from sartorius.images.size_limit import check_size
from sartorius.utils.errors import InputError, shown
from sartorius.utils.input_text import read_json

T = TypeVar('T')

IMAGE_KEYS = ('id', 'file_name', 'height', 'width')
OWN_ID_KEY = 'image_id'
"""Key of an image's id where that is not its file name without suffix; our own preparations write it."""
CATEGORY_KEYS = ('id', 'name')
_TEXTS = ('cell_type', 'group')
ANNOTATION_KEYS = ('image_id', 'category_id', 'segmentation')


@dataclass(frozen=True)
class CocoIndex:
    """A COCO file whose ids are sound; masks and classes are not looked at.

    Attributes:
        images: Images without their cells, by the id in the file, in file order; no two have one ``image_id``.
        categories: Names of the categories by their id.
        annotations: Entries of the annotations by their image's id, in file order; each has an ``id`` for messages.
    """

    images: Mapping[int | str, CocoImage]
    categories: Mapping[int | str, str]
    annotations: Mapping[int | str, Sequence[Mapping[str, Any]]]

    def cell_types(self) -> dict[int | str, str]:
        """Which cell type each image shows, by its id in the file.

        That is what its entry says under ``cell_type``, else the category of most of its annotations (the first of
        equally many), and empty text where neither says it.
        """
        cell_types = {}
        for number, image in self.images.items():
            own = self.annotations.get(number, ())
            count = Counter(self.categories[annotation['category_id']] for annotation in own)
            cell_types[number] = str(image.details.get('cell_type') or max(count, key=count.get, default=''))
        return cell_types

    @property
    def id_by_name(self) -> dict[str, int | str]:
        """Id in the file by :attr:`CocoImage.image_id`."""
        return {image.image_id: number for number, image in self.images.items()}


def read_coco_index(path: str | Path, annotated: bool = True) -> CocoIndex:
    """Reads a COCO JSON as :func:`index_coco` says; messages name the file."""
    content = read_coco_json(path)
    with naming(path):
        return index_coco(content, annotated)


def index_coco(content: Any, annotated: bool = True) -> CocoIndex:
    """Checks and indexes the content of a COCO file.

    Args:
        content: The JSON's dict.
        annotated: Whether the list ``annotations`` must be there.

    Raises:
        InputError: A list or a key is missing; two images or two categories have one id; two images have one name; an
            image's name is no text or its size no whole numbers above 0; an annotation names an image or a category
            that is not there.
    """
    categories = _by_id('categories', map(_category_of, coco_entries(content, 'categories', CATEGORY_KEYS)))
    images = index_images(coco_entries(content, 'images', IMAGE_KEYS))
    by_name: dict[str, CocoImage] = {}
    for image in images.values():
        other = by_name.setdefault(image.image_id, image)
        if other is not image:
            raise InputError(
                f'two images are called {image.image_id} ({other.file_name} and {image.file_name}); file names must '
                'differ by more than their suffix'
            )
    annotations: dict[int | str, list[Mapping[str, Any]]] = {}
    if annotated or 'annotations' in content:
        for number, entry in enumerate(coco_entries(content, 'annotations', ANNOTATION_KEYS)):
            if 'id' not in entry:
                entry = {**entry, 'id': f'at place {number} (counted from 0)'}
            where = f'annotation {entry["id"]}'
            for key, known, part in (('image_id', images, 'images'), ('category_id', categories, 'categories')):
                if not is_id(entry[key]) or entry[key] not in known:
                    what = key.removesuffix('_id')
                    raise InputError(f'{where}: its {what} {unknown_id(entry[key], known, part)}')
            annotations.setdefault(entry['image_id'], []).append(entry)
    return CocoIndex(images, categories, annotations)


def index_images(entries: Iterable[Mapping[str, Any]]) -> dict[int | str, CocoImage]:
    """Images by their id in the file.

    Raises:
        InputError: Two images have one id; a name is no text, or a size no whole numbers above 0.
    """
    return _by_id('images', ((_id_of(entry, 'images'), _image_of(entry)) for entry in entries))


def is_id(value: object) -> bool:
    """Whether a value can be the id of an image or a category: a whole number or text."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def unknown_id(value: object, known: Iterable[int | str], part: str) -> str:
    """The end of a message on an id that stands nowhere; one of another type than those of the file is named so."""
    text = str(value).removesuffix('.0') if isinstance(value, int | float | str) else ''
    alike = next((number for number in known if str(number) == text), None)
    if alike is None:
        return f'{shown(value)} is not among the {part}'
    return f'{value!r} is not among the {part}, which have {alike!r}; write both as numbers or both as text'


def read_coco_json(path: str | Path) -> dict[str, Any]:
    """The dict of a COCO JSON, whose polygons are arrays: as lists they need ten times the memory.

    Raises:
        InputError: No such file, a JSON of something else than a dict, or as
            :func:`~sartorius.utils.input_text.read_json`.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: no such file; tools/prepare_sartorius.py makes COCO JSON from the competition CSV')
    content = read_json(path, fix='make or download the file again', arrays='segmentation')
    if not isinstance(content, dict):
        raise InputError(f'{path}: not a COCO JSON, but a JSON {type(content).__name__}')
    return content


def coco_entries(content: Any, name: str, keys: Iterable[str]) -> list[dict[str, Any]]:
    """One list of a COCO file whose entries have the given keys; a dict of entries, as LIVECell has, will do.

    Raises:
        InputError: The list or a key is missing.
    """
    part = content.get(name) if isinstance(content, Mapping) else None
    if not isinstance(part, list | tuple | dict):
        raise InputError(f'not a COCO JSON of annotated images, the list {name!r} is missing')
    entries = list(part.values() if isinstance(part, dict) else part)
    for index, entry in enumerate(entries):
        missing = [key for key in keys if not isinstance(entry, Mapping) or key not in entry]
        if missing:
            raise InputError(f'entry {index} of {name!r} has no {missing[0]!r}')
    return entries


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Puts the file in front of the messages of :class:`InputError`."""
    try:
        yield
    except InputError as error:
        raise InputError(f'{path}: {error}') from None


def _image_of(entry: Mapping[str, Any]) -> CocoImage:
    file_name = entry['file_name']
    if not isinstance(file_name, str) or not image_id_of(file_name):
        raise InputError(f'image {entry["id"]!r}: its file_name is {shown(file_name)}, not the name of a file')
    height, width = entry['height'], entry['width']
    if not (_is_length(height) and _is_length(width)):
        raise InputError(
            f'image {file_name}: its height is {shown(height)} and its width {shown(width)}; write the size of the '
            'image file in pixels'
        )
    for key in _TEXTS:
        if not isinstance(entry.get(key, ''), str | int | None):
            raise InputError(f'image {file_name}: its {key} is {shown(entry[key])}, which is no text')
    own_id = entry.get(OWN_ID_KEY)
    if not isinstance(own_id, str):
        own_id = None
    try:
        for image_id in filter(None, (image_id_of(file_name), own_id)):
            check_image_id(image_id)
        size = check_size(int(height), int(width))
    except InputError as error:
        raise InputError(f'image {shown(file_name)}: {error}') from None
    details = {key: value for key, value in entry.items() if key not in (*IMAGE_KEYS, OWN_ID_KEY)}
    return CocoImage(file_name.replace('\\', '/'), size, details=details, own_id=own_id)


def _is_length(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0 and float(value).is_integer()


def _category_of(entry: Mapping[str, Any]) -> tuple[int | str, str]:
    name = entry['name']
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise InputError(f'category {shown(entry["id"])}: its name is {shown(name)}, not the text that a class needs')
    return _id_of(entry, 'categories'), name


def _id_of(entry: Mapping[str, Any], part: str) -> int | str:
    if not is_id(entry['id']):
        raise InputError(f'an entry of {part!r} has the id {shown(entry["id"])}, neither a whole number nor text')
    return entry['id']


def _by_id(part: str, entries: Iterable[tuple[int | str, T]]) -> dict[int | str, T]:
    """Entries by their id, of which no two are one: neither equal, nor the same as a number and as text."""
    found: dict[str, tuple[int | str, T]] = {}
    for number, entry in entries:
        other_number, other = found.setdefault(str(number), (number, entry))
        is_same = number == other_number and (other is entry or (part == 'categories' and other == entry))
        if not is_same:
            first, second = (getattr(one, 'file_name', one) for one in (other, entry))
            ids = f'{number!r}' if number == other_number else f'{other_number!r} and {number!r}'
            raise InputError(
                f'two {part} have the id {ids}: {first} and {second}; give each its own id (files that are merged must '
                'be numbered anew)'
            )
    return dict(found.values())
