"""The formats that cells are exported to, by name.

A new format is a function that writes one image's cells to a path, in a module of this package, and an entry of
:data:`FORMATS`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.export.cell_table import merge_tables, write_table
from sartorius.export.coco_file import merge_coco, write_coco
from sartorius.export.geojson import write_geojson
from sartorius.export.imagej_rois import write_roi_zip
from sartorius.export.label_images import write_cellpose_seg, write_label_tiff
from sartorius.export.overlay_image import write_overlay
from sartorius.export.structures import ExportedImage
from sartorius.images.image_ids import check_image_id
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import atomic_path

DEFAULT_FORMATS: tuple[str, ...] = ('masks', 'rois', 'table')


@dataclass(frozen=True)
class Format:
    """A kind of file that another tool opens.

    Attributes:
        suffix: What its files are called behind the name of the image.
        writer: Writes the cells of one image to a path.
        needs_pixels: Whether it shows the image itself.
        run_file: Name of the file of a whole run that is merged from the images' files; empty if there is none.
        merger: Merges the images' files, in the order in which they are given, to the file of the run.
    """

    suffix: str
    writer: Callable[[Path, ExportedImage], None]
    needs_pixels: bool = False
    run_file: str = ''
    merger: Callable[[Path, Sequence[Path]], None] | None = None

    def path(self, folder: Path, image_id: str) -> Path:
        """Path of an image's file: the folders of its id are folders below ``folder``.

        Raises:
            InputError: It is no image id, such as one that leads out of the folder.
        """
        return Path(folder, f'{check_image_id(image_id)}{self.suffix}')

    def write(self, path: Path, image: ExportedImage) -> None:
        """Writes an image's cells, whole or not at all; the folder is made if it is missing.

        Raises:
            InputError: The format shows the image, and its pixels are not at hand.
        """
        if self.needs_pixels and image.pixels is None:
            raise InputError(f'image {image.image_id}: its pixels are not at hand, and {path.name} shows them')
        with atomic_path(path) as temporary:
            self.writer(temporary, image)

    def merge(self, folder: Path, image_ids: Iterable[str]) -> Path | None:
        """Merges the files of some images in a folder to the file of the run there, whole or not at all.

        Args:
            folder: Where the images' files are.
            image_ids: Images, in the order that the run's file is to have.

        Returns:
            The run's file; None if the format has none.

        Raises:
            InputError: An image's file is missing or is no such file.
        """
        if self.merger is None:
            return None
        parts = [self.path(folder, image_id) for image_id in image_ids]
        for part in parts:
            if not part.is_file():
                raise InputError(f'{part} is missing, so that {self.run_file} would lack an image; export it again')
        with atomic_path(folder / self.run_file) as temporary:
            self.merger(temporary, parts)
        return folder / self.run_file


FORMATS: dict[str, Format] = {
    'masks': Format('_masks.tif', write_label_tiff),
    'rois': Format('_rois.zip', write_roi_zip),
    'table': Format('_cells.csv', write_table, run_file='cells.csv', merger=merge_tables),
    'geojson': Format('.geojson', write_geojson),
    'overlay': Format('_overlay.png', write_overlay, needs_pixels=True),
    'coco': Format('_coco.json', write_coco, run_file='coco.json', merger=merge_coco),
    'seg': Format('_seg.npy', write_cellpose_seg),
}


def formats_of(names: Iterable[str]) -> dict[str, Format]:
    """Formats by name, each once.

    Raises:
        UsageError: There is no such format.
    """
    for name in names:
        if name not in FORMATS:
            raise UsageError(f'no format is called {name!r}; known: {", ".join(FORMATS)}')
    return {name: FORMATS[name] for name in names}


def write_image(folder: Path, image: ExportedImage, names: Iterable[str]) -> list[Path]:
    """Writes an image's cells in several formats below a folder.

    Returns:
        The files, in the order of the formats.
    """
    written = []
    for form in formats_of(names).values():
        path = form.path(folder, image.image_id)
        form.write(path, image)
        written.append(path)
    return written
