"""Writing of post-processed predictions as the competition's submission CSV, with its checks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sartorius.predictions.structures import ImagePredictions
from sartorius.submission.csv_format import find_problems, write_submission
from sartorius.utils.classes import class_order
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


def format_class_counts(images: Mapping[str, ImagePredictions], classes: Sequence[str]) -> str:
    """Number of images and cells per class, as lines of text for a terminal.

    Args:
        images: Post-processed predictions by image id.
        classes: Class names that their labels index into.
    """
    width = max(8, *(len(name) + 1 for name in classes))
    lines = [f'{"class":<{width}}{"images":>8}{"cells":>9}{"cells per image":>17}']
    for name in class_order(classes):
        label = classes.index(name)
        counts = [int((image.labels == label).sum()) for image in images.values()]
        filled, cells = sum(map(bool, counts)), sum(counts)
        lines.append(f'{name:<{width}}{filled:>8}{cells:>9}{cells / max(filled, 1):>17.1f}')
    empty = sum(not len(image) for image in images.values())
    lines.append(f'{"no cells":<{width}}{empty:>8}')
    return '\n'.join(lines)
