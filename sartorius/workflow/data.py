"""What a workflow has to know of the competition's folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sartorius.annotations.preparation import TEST_FOLDER, TRAIN_FOLDER, UNLABELLED_FOLDER
from sartorius.images.files import image_size
from sartorius.utils.errors import UsageError
from sartorius.utils.files import sha256_of
from sartorius.utils.paths import display_path

FOLDERS = {'val': TRAIN_FOLDER, 'test': TEST_FOLDER, 'unlabelled': UNLABELLED_FOLDER}


@dataclass(frozen=True)
class DataFacts:
    """What a workflow has to know of the competition's folder.

    Attributes:
        root: The folder.
        train_sha256: Of train.csv.
        images_sha256: Of names and byte counts of all images: reading 2,800 images each time would take too long.
        counts: Number of images by split; ``val`` stands for all training images.
        test_size: ``WIDTHxHEIGHT`` of the first test image; None without test images.
        sample: Whether there is a sample_submission.csv.
    """

    root: Path
    train_sha256: str
    images_sha256: str
    counts: dict[str, int]
    test_size: str | None
    sample: bool


def read_data_facts(root: Path) -> DataFacts:
    """Looks at the competition's folder.

    Raises:
        UsageError: It holds no train.csv.
    """
    if not (root / 'train.csv').is_file():
        raise UsageError(
            f'{display_path(root)}: holds no train.csv; docs/data.md says how to get the data, '
            '--data-root where they are'
        )
    images = {split: sorted((root / folder).glob('*.png')) for split, folder in FOLDERS.items()}
    names = [f'{path.relative_to(root)} {path.stat().st_size}' for paths in images.values() for path in paths]
    test_size = None
    if images['test']:
        height, width = image_size(images['test'][0])
        test_size = f'{width}x{height}'
    return DataFacts(
        root=root,
        train_sha256=sha256_of(root / 'train.csv'),
        images_sha256=hashlib.sha256('\n'.join(names).encode()).hexdigest(),
        counts={split: len(paths) for split, paths in images.items()},
        test_size=test_size,
        sample=(root / 'sample_submission.csv').is_file(),
    )
