"""Shares of a run: a list of images that is fixed, cut into batches that are predicted apart from each other."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.engine.image_prediction.records import FOLDER
from sartorius.images.files import ImageFile
from sartorius.images.image_ids import check_image_id
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import atomic_path
from sartorius.utils.input_text import read_csv_table
from sartorius.utils.paths import display_path

COLUMNS = ('image', 'path')


@dataclass(frozen=True)
class Batch:
    """One of several shares of a list.

    Attributes:
        number: From 1.
        count: Number of batches.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> 'Batch':
        """A batch as it is typed: ``3/40`` is the third of forty.

        Raises:
            UsageError: It is no such batch.
        """
        match = re.fullmatch(r'(\d+)/(\d+)', text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f'--batch is {text!r}; write K/N with K from 1 to N, such as 3/40')
        return cls(int(match[1]), int(match[2]))

    def of(self, images: Sequence[ImageFile]) -> list[ImageFile]:
        """This batch's images: as many as the other batches have, or one more or less."""
        first, last = (len(images) * number // self.count for number in (self.number - 1, self.number))
        return list(images[first:last])

    def file(self, out: Path) -> Path:
        """The file that says that the batch is done: the summary of its images."""
        return out / FOLDER / 'batches' / f'{self.number:04d}.csv'


def list_file(out: Path) -> Path:
    """The list of a workflow's images."""
    return out / FOLDER / 'images.csv'


def write_image_list(path: Path, images: Sequence[ImageFile]) -> None:
    """Writes ids and absolute paths of images as CSV, atomically."""
    with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8', newline='') as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(COLUMNS)
        table.writerows((image.image_id, image.path.absolute()) for image in images)


def read_image_list(path: Path) -> list[ImageFile]:
    """Reads a list of images.

    Raises:
        InputError: It is no CSV file with the columns ``image`` and ``path``, or it is empty.
        OSError: It cannot be opened.
    """
    rows = read_csv_table(path, COLUMNS, f'a list of images has the columns {", ".join(COLUMNS)}')
    try:
        images = [ImageFile(Path(row['path']), check_image_id(row['image'])) for row in rows]
    except InputError as error:
        raise InputError(f'{display_path(path)}: {error}') from None
    if not images:
        raise InputError(f'{display_path(path)}: lists no images')
    return images
