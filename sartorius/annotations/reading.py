"""True cells from whichever file holds them."""

from pathlib import Path

from sartorius.annotations.coco import read_coco
from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import read_train_csv
from sartorius.utils.errors import InputError


def load_annotations(path: str | Path) -> dict[str, ImageAnnotations]:
    """Reads true cells from a COCO JSON (``.json``) or a training CSV (``.csv``) of the competition.

    Returns:
        Annotations by image id, in file order; images without cells included.

    Raises:
        InputError: The suffix is another, or as :func:`read_coco` and :func:`read_train_csv`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == '.json':
        return read_coco(path)
    if suffix == '.csv':
        return {image_id: image.cells for image_id, image in read_train_csv(path).images.items()}
    raise InputError(
        f'{path}: annotations are a COCO .json or a training .csv, not {suffix or "a file without suffix"}'
    )
