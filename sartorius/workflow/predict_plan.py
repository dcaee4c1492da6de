"""Prediction of a folder of thousands of images as a workflow: batches that run side by side, then the merged tables.

Each batch is one ``tools/predict.py --batch K/N`` over a list of images that the plan fixes, and the last stage one
``tools/predict.py --merge``. A batch is run again if one of its images, the model or an option has changed; within a
batch, images that are done are skipped.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from sartorius.engine.image_prediction.parts import Batch, list_file
from sartorius.engine.image_prediction.records import RunFolder
from sartorius.engine.image_prediction.run_files import run_file_names
from sartorius.export.formats import DEFAULT_FORMATS
from sartorius.images.files import ImageFile
from sartorius.models.model_file import find_model
from sartorius.utils.files import sha256_of
from sartorius.utils.settings import Flag, Integer, Number, ProjectPath, Settings, Text
from sartorius.workflow.stages import Stage, WorkflowPlan

# Keys and the options of tools/predict.py that they are.
_OPTIONS = {
    'config': '--config',
    'pixel_size': '--pixel-size',
    'scale': '--scale',
    'channel': '--channel',
    'z': '--z',
    'axes': '--axes',
    'tiles': '--tiles',
    'tta': '--tta',
    'postprocess': '--postprocess',
    'min_score': '--min-score',
    'exclude_border': '--exclude-border',
}


class PredictWorkflow(Settings):
    """A workflow file that predicts images in batches; the keys are the options of tools/predict.py."""

    batch_size: Annotated[Integer, Field(ge=1)]
    """Images of one batch, which is one job on a cluster."""
    inputs: tuple[Text, ...] = ()
    """Image files, folders and globs; `--data-root` comes first."""
    recursive: Flag = True
    """Search folders with their subfolders."""
    model: Text | None = None
    """Name or file of a model; the package's own if not given."""
    config: ProjectPath | None = None
    """Config in place of the model file's own."""
    formats: tuple[Text, ...] = DEFAULT_FORMATS
    """Files to write."""
    pixel_size: Annotated[Number, Field(gt=0)] | None = None
    """Side of a pixel in um; that of the files if not given."""
    scale: Annotated[Number, Field(gt=0)] | None = None
    """Size of the images' pixels divided by that of the model's."""
    channel: Text | Integer | None = None
    """Channel of images with several."""
    z: Text | Integer | None = None
    """Plane of images with several in z."""
    axes: Text | None = None
    """Axes of the files."""
    levels: tuple[Number, Number] | None = None
    """Grey values of black and white."""
    tiles: Literal['auto', 'on', 'off'] = 'auto'
    """Predict in overlapping tiles."""
    tta: Flag = False
    """Predict with test-time augmentation."""
    postprocess: ProjectPath | None = None
    """Chain of post-processing; the model's own if not given."""
    min_score: Annotated[Number, Field(ge=0, le=1)] | None = None
    """Score from which cells are kept."""
    exclude_border: Flag = False
    """Drop cells that touch the image's border."""


def make_predict_plan(settings: PredictWorkflow, images: Sequence[ImageFile], out: Path) -> WorkflowPlan:
    """Plans the batches and the merging of their tables.

    Args:
        settings: The workflow file.
        images: All images, in the order of the tables.
        out: Folder to write to, absolute.

    Raises:
        InputError: There is no such model.
    """
    model = find_model(settings.model)
    words = ['--list', str(list_file(out)), '--out', str(out), *_words(settings), '--model', str(model.resolve())]
    facts = {'model': sha256_of(model)}
    if settings.postprocess is not None:
        facts['postprocess'] = sha256_of(settings.postprocess)
    count = -(-len(images) // settings.batch_size)
    stages = []
    for number in range(1, count + 1):
        batch = Batch(number, count)
        mine = batch.of(images)
        stages.append(
            Stage(
                kind='predict',
                name=f'{number:04d}',
                words=('tools/predict.py', *words, '--batch', f'{number}/{count}'),
                inputs=(),
                outputs=(str(batch.file(out)),),
                facts={**facts, 'images': _describe(mine)},
                amount=f'{len(mine)} images',
            )
        )
    outputs = tuple(str(out / name) for name in run_file_names(settings.formats))
    batches = tuple(path for stage in stages for path in stage.outputs)
    stages.append(Stage('merge', 'all', ('tools/predict.py', *words, '--merge'), batches, outputs, facts))
    return WorkflowPlan(out, out, {stage.key: stage for stage in stages})


def forget_incomplete_batches(plan: WorkflowPlan, settings: PredictWorkflow, images: Sequence[ImageFile]) -> None:
    """Marks batches as not done of which a file of an image is gone."""
    folder = RunFolder(plan.out)
    count = len(plan.stages) - 1
    for number in range(1, count + 1):
        batch = Batch(number, count)
        done = batch.file(plan.out)
        if done.is_file() and not all(
            folder.has_outputs(image.image_id, settings.formats) for image in batch.of(images)
        ):
            done.unlink()


def _words(settings: PredictWorkflow) -> list[str]:
    """The settings as options of tools/predict.py, but for the images and the model."""
    words = ['--format', *settings.formats]
    if settings.levels is not None:
        # With an equals sign, because a negative number would be taken for an option.
        words.append('--levels={:g}:{:g}'.format(*settings.levels))
    for key, option in _OPTIONS.items():
        value = getattr(settings, key)
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words += [option, str(value)]
    return words


def _describe(images: Sequence[ImageFile]) -> str:
    """Hash of the ids, sizes and times of change of images."""
    states = [(image.image_id, image.path.stat().st_size, image.path.stat().st_mtime_ns) for image in images]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()
