"""One image of a run: skipped if it is done, else read, predicted, post-processed and written."""

import errno
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sartorius.engine.image_prediction.model import CellModel, ImageOptions, postprocess_frames
from sartorius.engine.image_prediction.records import (
    DONE,
    FAILED,
    FileState,
    FrameRow,
    ImageRecord,
    RunFolder,
    check_outputs_are_own,
    check_outputs_are_same,
)
from sartorius.export.formats import FORMATS
from sartorius.export.structures import ExportedImage
from sartorius.images.files import ImageFile
from sartorius.images.reading import read_stack
from sartorius.images.structures import ImageStack
from sartorius.predictions.store import load_predictions, save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.errors import InputError
from sartorius.utils.files import file_set, write_text
from sartorius.visualization.run_page import picture_paths, write_outlines, write_picture

PREDICTIONS = 'predictions'
"""Key of the predictions before post-processing among an image's outputs, and name of the format of the whole run."""

PICTURES = ('picture', 'outlines')
"""Keys of an image's pictures for the page of the run, in the order of :func:`picture_paths`."""

# Out of space and over quota: the next image would fail as well.
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class ImageRun:
    """What the images of a run have in common.

    Attributes:
        model: The model.
        folder: Where files are written.
        options: How images are predicted.
        formats: Formats that are written: keys of :data:`sartorius.export.formats.FORMATS`, and ``predictions``.
        overwrite: Whether images that are done are predicted again, and files of others are replaced.
    """

    model: CellModel
    folder: RunFolder
    options: ImageOptions
    formats: tuple[str, ...]
    overwrite: bool = False

    def process(self, image: ImageFile) -> tuple[ImageRecord, bool]:
        """Predicts an image and writes its files, unless that is done; whatever is wrong with it, its record says so.

        Returns:
            The record, and whether it was kept from an earlier call.

        Raises:
            OSError: The disk is full.
        """
        former = self.folder.read(image.image_id)
        if former is not None and not self.overwrite and self.is_done(former, image.path):
            return former, True
        try:
            return self._write(image, former), False
        except InputError as error:
            message = str(error)
        except OSError as error:
            if error.errno in _DISK_FULL:
                raise
            message = f'{error.filename or image.path}: {error.strerror or error}'
        except MemoryError:
            message = f'{image.path} does not fit into memory; give --tiles on, or predict it on a larger machine'
        except Exception as error:
            message = self._describe_unexpected(error, image)
        record = ImageRecord(image=image.image_id, file=image.path.name, status=FAILED, message=message)
        if former is not None:
            # Files of an earlier call are still the run's own.
            record = replace(record, outputs=former.outputs)
        self.folder.write(record)
        return record, False

    def is_done(self, record: ImageRecord, path: Path) -> bool:
        """Whether an image was predicted from the same file, by the same model and options, and its files are there."""
        return (
            record.status == DONE
            and record.prediction_key == self.model.prediction_key(self.options)
            and record.chain_key == self.model.chain_key(self.options)
            and set(self._names) <= set(record.outputs)
            and self.folder.has_outputs(record.image, self._names)
            and record.source is not None
            and record.source.is_of(path)
        )

    @property
    def _names(self) -> list[str]:
        """Formats of which each image has a file."""
        return [name for name in self.formats if name in FORMATS]

    def _write(self, image: ImageFile, former: ImageRecord | None) -> ImageRecord:
        names = self._names
        chain_key = self.model.chain_key(self.options)
        if former is not None and former.chain_key != chain_key:
            # Files in other formats would show other cells than the new ones.
            names += [name for name in former.outputs if name not in names and name in FORMATS]
        paths = {name: FORMATS[name].path(self.folder.out, image.image_id) for name in names}
        paths[PREDICTIONS] = self.folder.predictions_path(image.image_id)
        paths |= zip(PICTURES, picture_paths(self.folder.out, image.image_id), strict=True)
        # A record that is there but cannot be read: the files may be this run's own, which is seen when they are made.
        is_lost = former is None and self.folder.record_path(image.image_id).exists()
        if is_lost:
            print(f'warning: {image.image_id}: its record is damaged; it is predicted again', file=sys.stderr)
        elif not self.overwrite:
            check_outputs_are_own(former, paths)
        source = FileState.of(image.path)
        stack = read_stack(image.path, self.options.reading)
        record, raw = self._predict(image, stack, source, former)
        frames = postprocess_frames(raw, self.model.chain(self.options), self.options.exclude_border)
        exported = ExportedImage(
            image_id=image.image_id,
            frames=frames,
            classes=self.model.classes,
            is_movie=stack.is_movie,
            pixel_size_um=record.pixel_size_um,
            frame_interval_s=stack.frame_interval_s,
            pixels=stack.grey(),
            file_name=image.path.name,
            image_sha256=source.sha256,
        )
        rows = tuple(
            replace(row, **_counts(frame, self.model.classes)) for row, frame in zip(record.frames, frames, strict=True)
        )
        outputs = {} if former is None else dict(former.outputs)
        with file_set() as files:
            for name in names:
                FORMATS[name].write(paths[name], exported)
            save_predictions(paths[PREDICTIONS], PredictionSet(tuple(raw), self.model.classes))
            write_picture(paths['picture'], stack.to_uint8(self.options.levels)[0])
            write_outlines(paths['outlines'], stack.size, frames[0].crops)
            outputs |= {name: FileState.of(files.staged(path)) for name, path in paths.items()}
            if is_lost and not self.overwrite:
                check_outputs_are_same({name: outputs[name] for name in names}, paths)
            record = replace(record, chain_key=chain_key, frames=rows, outputs=outputs)
            self.folder.write(record)
        return record

    def _predict(
        self, image: ImageFile, stack: ImageStack, source: FileState, former: ImageRecord | None
    ) -> tuple[ImageRecord, Sequence[ImagePredictions]]:
        """Predictions of an image, from an earlier call if nothing but the chain or the formats have changed since."""
        key, kept = self.model.prediction_key(self.options), self.folder.predictions_path(image.image_id)
        if (
            former is not None
            and not self.overwrite
            and (former.status, former.prediction_key) == (DONE, key)
            and PREDICTIONS in former.outputs
            and former.outputs[PREDICTIONS].is_of(kept)
            and former.source is not None
            and former.source.sha256 == source.sha256
        ):
            return replace(former, source=source), load_predictions(kept).images
        done = self.model.predict(stack, image.image_id, self.options)
        height, width = stack.size
        record = ImageRecord(
            image=image.image_id,
            file=image.path.name,
            status=DONE,
            message='; '.join(done.notes),
            source=source,
            prediction_key=key,
            is_movie=stack.is_movie,
            height=height,
            width=width,
            pixel_size_um=done.scale.pixel_size_um,
            pixel_size_from=done.scale.pixel_size_from,
            frame_interval_s=stack.frame_interval_s,
            scale=done.scale.factor,
            frames=tuple(
                FrameRow(
                    frame=number,
                    cells=0,
                    covered=0.0,
                    limit_reached=report.limit_reached,
                    cut_cells=report.cut_cells,
                    seconds=round(seconds, 3),
                )
                for number, (report, seconds) in enumerate(zip(done.reports, done.seconds, strict=True))
            ),
        )
        return record, done.frames

    def _describe_unexpected(self, error: Exception, image: ImageFile) -> str:
        """One sentence about a defect; its traceback is kept beside the record."""
        text = ' '.join(str(error).split())[:200]
        if 'out of memory' in text.lower():
            return f'{image.path} does not fit into the memory of the GPU; give --tiles on, or --device cpu'
        path = self.folder.record_path(image.image_id).with_suffix('.error.txt')
        write_text(path, traceback.format_exc())
        return f'{image.path}: unexpected {type(error).__name__} ({text}); please report it with {path}'


def _counts(frame: ImagePredictions, classes: Sequence[str]) -> Mapping[str, object]:
    """Values of a :class:`FrameRow` that follow from the post-processed cells."""
    covered = sum(crop.area for crop in frame.crops) / (frame.size[0] * frame.size[1])
    by_class = {name: int((frame.labels == number).sum()) for number, name in enumerate(classes)}
    median_area = float(np.median([crop.area for crop in frame.crops])) if len(frame) else None
    return {
        'cells': len(frame),
        'by_class': by_class,
        'covered': round(covered, 5),
        'median_area_px': median_area,
    }
