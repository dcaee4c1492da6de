"""Prediction from Python: ``sartorius.load_model('model.pth').predict(image)``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sartorius.engine.image_prediction.model import CellModel, ImageOptions, postprocess_frames
from sartorius.export.cell_table import measure_cells
from sartorius.export.formats import DEFAULT_FORMATS, formats_of
from sartorius.export.structures import ExportedImage
from sartorius.images.axes import ImageFileContent, read_frames
from sartorius.images.reading import read_stack
from sartorius.images.structures import ImageStack
from sartorius.utils.errors import InputError
from sartorius.utils.files import sha256_of

if TYPE_CHECKING:
    import pandas as pd

MAX_UINT16 = 65_535


class Model:
    """A model with all that prediction needs: config, classes, post-processing and pixel size come from its file.

    For example::

        model = sartorius.load_model()
        cells = model.predict('well_A1.tif')
        cells.save('out/well_A1')

    Attributes:
        name: Of the model.
        classes: Class names in the order of the labels.
        pixel_size_um: Side of a pixel of the images that it was trained on; None if it is not known.
    """

    def __init__(self, name_or_path: str | Path | None = None, device: str | None = None) -> None:
        self._model = CellModel(name_or_path, device=device)
        self.name = self._model.name
        self.classes = self._model.classes
        self.pixel_size_um = self._model.pixel_size_um

    def predict(
        self,
        image: str | Path | NDArray[np.generic],
        pixel_size_um: float | None = None,
        *,
        axes: str | None = None,
        **options: Any,
    ) -> 'Cells':
        """Finds the cells of an image or a movie; the same as ``tools/predict.py`` does with a file.

        Args:
            image: Image file; or an array of whole or floating-point numbers: ``(H, W)`` grey, ``(H, W, 3)`` or
                ``(H, W, 4)`` in the order red, green, blue (and alpha), or any other if ``axes`` says what it is.
            pixel_size_um: Side of a pixel in micrometres; that of the file if None.
            axes: A letter for each dimension: T for time, Z, C for channels, Y, X, S for red, green and blue. ``TYX``
                is a movie of grey frames.
            **options: Further fields of :class:`sartorius.engine.image_prediction.model.ImageOptions`: ``channel``,
                ``z``, ``levels``, ``scale``, ``tiles``, ``tta``, ``postprocess``, ``min_score``, ``exclude_border``.

        Raises:
            InputError: The file cannot be read, or the array is no such image.
        """
        how = ImageOptions(axes=axes, pixel_size_um=pixel_size_um, **options)
        stack = _stack_of(np.asarray(image), how) if not isinstance(image, str | Path) else None
        path = None if stack is not None else Path(image)
        if stack is None:
            stack = read_stack(path, how.reading)
        image_id = 'image' if path is None else path.stem
        done = self._model.predict(stack, image_id, how)
        exported = ExportedImage(
            image_id=image_id,
            frames=postprocess_frames(done.frames, self._model.chain(how), how.exclude_border),
            classes=self.classes,
            is_movie=stack.is_movie,
            pixel_size_um=done.scale.pixel_size_um,
            frame_interval_s=stack.frame_interval_s,
            pixels=stack.grey(),
            file_name='' if path is None else path.name,
            image_sha256=sha256_of(path) if path is not None and path.is_file() else '',
        )
        return Cells(exported, done.notes)


class Cells:
    """The cells of an image, or of all frames of a movie.

    Attributes:
        exported: The cells as export formats take them: masks, boxes, scores and labels of each frame.
        notes: Sentences on what was assumed or may be missing.
    """

    def __init__(self, exported: ExportedImage, notes: Sequence[str] = ()) -> None:
        self.exported = exported
        self.notes = tuple(notes)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the labels of the classes."""
        return self.exported.classes

    @property
    def labels(self) -> NDArray[np.unsignedinteger]:
        """Label image: ``(H, W)``, of a movie ``(T, H, W)``; 0 is background, cell ``k`` is ``k`` as in the table.

        uint16, or uint32 for more than 65,535 cells.
        """
        most = max(map(len, self.exported.frames))
        dtype = np.uint16 if most <= MAX_UINT16 else np.uint32
        stacked = np.stack([labels.astype(dtype) for labels in self.exported.label_images()])
        return stacked if self.exported.is_movie else stacked[0]

    def table(self) -> 'pd.DataFrame':
        """Measurements, one row per cell (:mod:`sartorius.export.cell_table`)."""
        return measure_cells(self.exported)

    def save(self, prefix: str | Path, formats: Sequence[str] = DEFAULT_FORMATS) -> list[Path]:
        """Writes files for other tools.

        Args:
            prefix: Folder and name of the files without their endings: ``out/A1`` for ``out/A1_masks.tif``.
            formats: Names of :data:`sartorius.export.formats.FORMATS`.

        Returns:
            The files.

        Raises:
            UsageError: No such format.
        """
        prefix = Path(prefix)
        image = replace(self.exported, image_id=prefix.name)
        written = []
        for form in formats_of(formats).values():
            path = form.path(prefix.parent, prefix.name)
            form.write(path, image)
            written.append(path)
        return written

    def __len__(self) -> int:
        return sum(map(len, self.exported.frames))

    def __repr__(self) -> str:
        height, width = self.exported.size
        frames = f'{len(self.exported.frames)} frames of ' if self.exported.is_movie else ''
        return f'Cells({len(self):,} cells in {frames}{width}x{height} px)'


def _stack_of(array: NDArray[np.generic], how: ImageOptions) -> ImageStack:
    """An array as the reader returns a file.

    Raises:
        InputError: Neither its shape nor the options say what its dimensions are.
    """
    axes = how.axes
    if axes is None:
        if array.ndim == 2:
            axes = 'YX'
        elif array.ndim == 3 and array.shape[2] in (3, 4):
            axes = 'YXS'
        else:
            raise InputError(
                f'an array of shape {array.shape}; it must be (H, W), or (H, W, 3) in the order red, green, blue, or '
                "say what its dimensions are, such as axes='TYX' for a movie"
            )
    content = ImageFileContent(
        path=Path('array'), shape=array.shape, axes=axes, dtype=array.dtype, load=lambda index: array[index]
    )
    return read_frames(content, how.reading)
