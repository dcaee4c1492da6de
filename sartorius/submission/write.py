"""Writing of post-processed predictions as the competition's submission CSV, with its checks."""

from collections.abc import Mapping
from pathlib import Path

from sartorius.predictions.structures import ImagePredictions
from sartorius.submission.csv_format import find_problems, write_submission
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path


def write_checked_submission(path: str | Path, images: Mapping[str, ImagePredictions]) -> None:
    """Writes a submission CSV atomically; nothing is left if the checker finds a broken rule.

    Args:
        path: CSV to write.
        images: Post-processed predictions by image id (:func:`sartorius.postprocess.chain.postprocess_all`).

    Raises:
        InputError: There is no image, or the checker finds a broken rule.
    """
    sizes = {image_id: image.size for image_id, image in images.items()}
    with atomic_path(path) as temporary:
        write_submission(temporary, {image_id: image.crops for image_id, image in images.items()}, sizes)
        problems = find_problems(temporary, sizes, required=sizes)
        if problems:
            raise InputError(f'the submission would break {len(problems)} rules, the first: {problems[0]}')


def format_class_counts(images: Mapping[str, ImagePredictions]) -> str:
    """Number of images and cells per class, as lines of text for a terminal."""
    lines = [f'{"class":<8}{"images":>8}{"cells":>9}{"cells per image":>17}']
    for label, name in enumerate(CELL_TYPES):
        counts = [int((image.labels == label).sum()) for image in images.values()]
        filled, cells = sum(map(bool, counts)), sum(counts)
        lines.append(f'{name:<8}{filled:>8}{cells:>9}{cells / max(filled, 1):>17.1f}')
    empty = sum(not len(image) for image in images.values())
    lines.append(f'{"no cells":<8}{empty:>8}')
    return '\n'.join(lines)
