"""One published model as a workflow: trained on synthetic images that are drawn, with or without real ones.

Without real images there are two stages, training and publishing; with a folder of them, its preparation comes first.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from sartorius.images.files import is_image
from sartorius.models.model_file import check_name
from sartorius.utils.errors import UsageError
from sartorius.utils.files import files_below
from sartorius.utils.paths import display_path, find_config
from sartorius.utils.settings import Flag, Integer, ProjectPath, Settings, Text
from sartorius.workflow.facts import RecipeFacts
from sartorius.workflow.stages import Stage, WorkflowPlan

Config = Annotated[Path, AfterValidator(lambda path: find_config(path).resolve())]


class RealImages(Settings):
    """Real images beside the drawn ones; the keys but for the first two are options of tools/data/prepare_images.py."""

    config: Config
    """Config that takes both."""
    data_root: ProjectPath | None = None
    """Folder of the images; `--data-root` comes first, and without either none are used."""
    only: Text | None = None
    """Regular expression of the paths to take."""
    label_name: Text | None = None
    """What label files are called."""
    origin: Text | None = None
    """Whose images they are."""
    licence: Text | None = None
    """Their licence."""


class ModelWorkflow(Settings):
    """A workflow file that trains one model and publishes it."""

    publish: Annotated[Text, AfterValidator(check_name)]
    """Name of the model."""
    config: Config
    """Config that needs no real image."""
    real: RealImages | None = None
    """Real images that train too."""
    seed: Integer = 0
    """Seed of weights, images and order."""
    iterations: Annotated[Integer, Field(ge=1)] | None = None
    """Length of the training, schedule included; the config's if not given."""
    amp: Flag = False
    """Mixed precision: float16 on a GPU, bfloat16 on a CPU that has it."""
    half: Flag = True
    """Store weights as float16."""
    cfg_options: tuple[Text, ...] = ()
    """Changes of the config, `KEY=VALUE`."""


def make_model_plan(
    settings: ModelWorkflow,
    data_root: Path | None,
    out: Path,
    read_facts: Callable[[Path, Sequence[str], bool], RecipeFacts],
) -> WorkflowPlan:
    """Plans preparation, training and publishing.

    Args:
        settings: The workflow file.
        data_root: Folder of real images; None for the file's, if it names one.
        out: Folder to write to, absolute.
        read_facts: Reads a config: :func:`sartorius.workflow.facts.read_recipe_facts`.

    Raises:
        UsageError: Real images are given and the file says nothing of them, or there are none.
    """
    real, stages, words, inputs = settings.real, [], [], ()
    root = data_root or (real.data_root if real else None)
    if root is not None and real is None:
        raise UsageError('--data-root: this workflow takes no real images; describe them under the key real')
    config = settings.config
    if root is not None:
        root, config = root.resolve(), real.config
        prepared = _prepare(real, root, out / 'annotations')
        stages.append(prepared)
        inputs = prepared.outputs
        words = ['--data-root', str(root), '--annotations', str(out / 'annotations'), '--fold', 'all']
    facts = read_facts(config, settings.cfg_options, False)
    iterations = settings.iterations or facts.iterations
    run = out / 'run'
    checkpoint = str(run / f'iter_{iterations}.pth')
    train = ['tools/train.py', str(config), '--work-dir', str(run), '--seed', str(settings.seed), *words]
    train += ['--iterations', str(settings.iterations)] if settings.iterations else []
    train += ['--amp'] if settings.amp else []
    train += ['--cfg-options', *settings.cfg_options] if settings.cfg_options else []
    publish = ['tools/publish_model.py', checkpoint, '--name', settings.publish, '--out', str(out / 'model')]
    publish += ['--half'] if settings.half else []
    stages += [
        Stage(
            kind='train',
            name=config.stem,
            words=tuple(train),
            inputs=inputs,
            outputs=(checkpoint,),
            facts={'config': facts.sha256},
            amount=f'{iterations} iterations',
            work_dir=str(run),
        ),
        # The name of what it writes follows from the weights.
        Stage('publish', settings.publish, tuple(publish), (checkpoint,), ()),
    ]
    return WorkflowPlan(out, root or out, {stage.key: stage for stage in stages})


def _prepare(real: RealImages, root: Path, out: Path) -> Stage:
    images = [path for path in files_below(root) if is_image(path)] if root.is_dir() else []
    if not images:
        raise UsageError(f'{display_path(root)}: holds no image; name the folder of real images, or leave it out')
    names = [f'{path.relative_to(root)} {path.stat().st_size}' for path in images]
    words = ['tools/data/prepare_images.py', str(root), '--out', str(out), '--merge-classes', 'cell']
    for key in ('only', 'label_name', 'origin', 'licence'):
        value = getattr(real, key)
        words += [f'--{key.replace("_", "-")}', value] if value else []
    facts = {'images': hashlib.sha256('\n'.join(sorted(names)).encode()).hexdigest()}
    return Stage('prepare', 'annotations', tuple(words), (), (str(out / 'all.json'),), facts, f'{len(names)} files')
