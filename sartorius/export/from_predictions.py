"""A predictions file as files for other tools: its cells post-processed, with the images that they were found in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sartorius.export.formats import DEFAULT_FORMATS, Format, formats_of
from sartorius.export.structures import ExportedImage
from sartorius.images.axes import ReadOptions
from sartorius.images.files import find_images
from sartorius.images.image_ids import match_image_ids, split_frame
from sartorius.images.reading import read_stack
from sartorius.postprocess.chain import load_chain_for, postprocess_all
from sartorius.predictions.store import load_predictions
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import file_set, sha256_of
from sartorius.utils.paths import display_path

# Images whose files get their names together: the disk is waited for as long for one of them as for all.
_IMAGES_A_SET = 16


@dataclass(frozen=True)
class ExportOptions:
    """What ``tools/export.py`` is asked for.

    Attributes:
        predictions: Predictions file.
        out: Folder to write below.
        images: Folder below which the images are; None if they are not at hand.
        formats: Names of :data:`~sartorius.export.formats.FORMATS`.
        postprocess: File of the chain; None for the default one of the predictions' classes.
        pixel_size_um: Side of a pixel in micrometres, instead of what the image files say.
        axes: As in :class:`~sartorius.images.axes.ReadOptions`, like the next two.
    """

    predictions: Path
    out: Path
    images: Path | None = None
    formats: tuple[str, ...] = DEFAULT_FORMATS
    postprocess: Path | None = None
    pixel_size_um: float | None = None
    axes: str | None = None
    channel: int | str | None = None
    z: int | str | None = None


@dataclass(frozen=True)
class ExportSummary:
    """What was written.

    Attributes:
        images: Number of image files, a movie counted once.
        cells: Number of cells in all of their frames.
        run_files: Files of the whole run.
    """

    images: int
    cells: int
    run_files: tuple[Path, ...]


def export_predictions(options: ExportOptions) -> ExportSummary:
    """Post-processes the predictions, and writes each image's files and those of the run.

    The files of some images at a time appear together, at last those of the run; nothing is written before all images
    are found.

    Raises:
        UsageError: A format is not known or shows images that are not at hand.
        InputError: The predictions or the chain cannot be read, an image is missing or of another size or number of
            frames than predicted.
    """
    formats = formats_of(options.formats)
    showing = [name for name, form in formats.items() if form.needs_pixels]
    if showing and options.images is None:
        raise UsageError(f'--format {showing[0]} shows the images; name their folder by --images')
    if options.pixel_size_um is not None and not 0 < options.pixel_size_um < float('inf'):
        raise UsageError(f'--pixel-size {options.pixel_size_um} is no size in micrometres; give one above 0')
    predictions = load_predictions(options.predictions)
    chain, _ = load_chain_for(predictions.classes, options.postprocess)
    files = group_frames(predictions.image_ids)
    paths = _find_files(options.images, files) if options.images else {}
    processed = postprocess_all(predictions, chain)
    cells = 0
    left = iter(progress(files.items(), 'exporting'))
    for _ in range(0, len(files), _IMAGES_A_SET):
        with file_set():
            for image_id, frame_ids in islice(left, _IMAGES_A_SET):
                frames = [processed[frame_id] for frame_id in frame_ids]
                image = _exported(image_id, frames, predictions.classes, paths.get(image_id), options)
                for form in formats.values():
                    form.write(form.path(options.out, image_id), image)
                cells += sum(len(image.cells(frame)) for frame in range(len(frames)))
    return ExportSummary(len(files), cells, _merge(formats.values(), options.out, files))


def group_frames(image_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Ids of the frames of each image file, sorted, by the file's id.

    Only ids ``NAME#t0000``, ``NAME#t0001`` and so on without a gap are frames of one file; others are images.
    """
    frames: dict[str, dict[int, str]] = {}
    files: dict[str, tuple[str, ...]] = {}
    for image_id in image_ids:
        name, number = split_frame(image_id)
        files[image_id] = (image_id,)
        if number is not None:
            frames.setdefault(name, {})[number] = image_id
    for name, ids in frames.items():
        if sorted(ids) == list(range(len(ids))) and name not in files:
            for image_id in ids.values():
                del files[image_id]
            files[name] = tuple(ids[number] for number in range(len(ids)))
    return files


def _find_files(folder: Path, image_ids: Mapping[str, Sequence[str]]) -> dict[str, tuple[Path, str]]:
    """Path of each image, and its name below ``folder``."""
    found = {image.image_id: image.path for image in find_images([folder], recursive=True)}
    matched = match_image_ids(image_ids, found)
    missing = [image_id for image_id in image_ids if image_id not in matched]
    if missing:
        raise InputError(
            f'{len(missing)} of {len(image_ids)} predicted images are not below {display_path(folder)}, the first is '
            f'{missing[0]}; name the folder that holds them, or leave --images out'
        )
    paths = {image_id: found[target] for image_id, target in matched.items()}
    return {image_id: (path, path.relative_to(folder).as_posix()) for image_id, path in paths.items()}


def _exported(
    image_id: str,
    frames: Sequence[ImagePredictions],
    classes: tuple[str, ...],
    file: tuple[Path, str] | None,
    options: ExportOptions,
) -> ExportedImage:
    is_frame = frames[0].image_id != image_id
    if file is None:
        return ExportedImage(image_id, tuple(frames), classes, is_movie=is_frame, pixel_size_um=options.pixel_size_um)
    path, name = file
    stack = read_stack(path, ReadOptions(options.axes, options.channel, options.z))
    if stack.size != frames[0].size or len(stack.frames) != len(frames):
        height, width = frames[0].size
        raise InputError(
            f'{display_path(path)} has {len(stack.frames)} frames of {stack.size[1]}x{stack.size[0]} pixels, but '
            f'{len(frames)} of {width}x{height} were predicted; name the folder of the images that were'
        )
    return ExportedImage(
        image_id=image_id,
        frames=tuple(frames),
        classes=classes,
        is_movie=stack.is_movie or is_frame,
        pixel_size_um=options.pixel_size_um or stack.pixel_size_um,
        frame_interval_s=stack.frame_interval_s,
        pixels=stack.grey(),
        file_name=name,
        image_sha256=sha256_of(path) if path.is_file() else '',
    )


def _merge(formats: Iterable[Format], folder: Path, image_ids: Iterable[str]) -> tuple[Path, ...]:
    with file_set():
        merged = [form.merge(folder, image_ids) for form in formats]
    return tuple(path for path in merged if path)
