"""What a workflow needs to know of the data set and of a config before it can be planned."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.annotations.source_tables import TEST_FOLDER, TRAIN_FOLDER, UNLABELLED_FOLDER
from sartorius.images.files import images_in
from sartorius.images.reading import image_size
from sartorius.utils.errors import UsageError
from sartorius.utils.files import sha256_of
from sartorius.utils.paths import display_path, find_config

FOLDERS = {'val': TRAIN_FOLDER, 'test': TEST_FOLDER, 'unlabelled': UNLABELLED_FOLDER}


@dataclass(frozen=True)
class DataFacts:
    """Content of the competition's folder.

    Attributes:
        root: The folder.
        train_sha256: Hash of train.csv.
        images_sha256: Hash of the names and byte counts of all images; reading 2,800 images each time would take too
            long.
        counts: Number of images by split; ``val`` counts all training images.
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
    """Reads the facts of the competition's folder.

    Raises:
        UsageError: It holds no train.csv.
    """
    if not (root / 'train.csv').is_file():
        raise UsageError(
            f'{display_path(root)}: holds no train.csv; docs/data.md says how to get the data, --data-root where they '
            'are'
        )
    images = {split: list(images_in(root / folder).values()) for split, folder in FOLDERS.items()}
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


@dataclass(frozen=True)
class RecipeFacts:
    """Content of a config.

    Attributes:
        iterations: Length of its training.
        sha256: Hash of the whole config with its bases, so that any change of it is noticed.
        boxes_only: Whether it predicts boxes without masks.
        init_from: Config of the run whose weights it starts from; None for none.
        same_fold: Whether that run is trained in every fold as well.
    """

    iterations: int
    sha256: str
    boxes_only: bool = False
    init_from: Path | None = None
    same_fold: bool = False


def read_recipe_facts(config: Path, cfg_options: Sequence[str] = (), small: bool = False) -> RecipeFacts:
    """Reads the facts of a config.

    Args:
        config: Config file.
        cfg_options: Changes of it, ``KEY=VALUE``, as for ``--cfg-options``.
        small: Whether its small variant is meant, as by ``--small``.

    Raises:
        InputError: It cannot be read, or ``init_from`` names no config.
    """
    from sartorius.engine.config import load_config, parse_options
    from sartorius.engine.first_weights import read_init_from

    content = load_config(config, parse_options(cfg_options), small)
    start = read_init_from(content, display_path(config))
    return RecipeFacts(
        iterations=content.train_cfg.max_iters,
        sha256=hashlib.sha256(content.pretty_text.encode()).hexdigest(),
        boxes_only=bool(content.get('boxes_only', False)),
        init_from=find_config(start.config).resolve() if start else None,
        same_fold=start is not None and start.same_fold,
    )
