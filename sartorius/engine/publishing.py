"""Publishing of a trained model: what tools/publish_model.py does."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sartorius.engine.first_weights import last_checkpoint
from sartorius.inference.predictor import Predictor
from sartorius.leaderboard.model_card import format_card, front_matter
from sartorius.models.checkpoints import check_finite
from sartorius.models.model_file import ModelFile, check_name, check_pixel_size, load_model_file, save_model_file
from sartorius.postprocess.chain import load_chain
from sartorius.predictions.provenance import RunRecord
from sartorius.predictions.timing import with_times
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import staged_folder, write_text
from sartorius.utils.paths import display_path
from sartorius.utils.tables import markdown_table
from sartorius.utils.version import describe_version, git_commit

# The folders of an absolute path of Linux or Windows; not those of an address.
_FOLDERS = re.compile(r"""(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^\s/\\'"]+[/\\])+""")


@dataclass(frozen=True)
class PublishOptions:
    """What is published, and where.

    Attributes:
        model: Checkpoint, or folder of a run.
        out: Folder of the model file.
        name: Of the model; the recipe's if None.
        pixel_size: Edge of a pixel of the training images in µm; None if unknown.
        postprocess: File of the chain; the config's if None.
        half: Whether weights are stored as float16.
    """

    model: Path
    out: Path
    name: str | None = None
    pixel_size: float | None = None
    postprocess: Path | None = None
    half: bool = False


def publish_model(options: PublishOptions) -> tuple[Path, Path]:
    """Writes ``NAME-HASH.pth``, HASH being the first eight digits of the file's SHA-256, and ``NAME-HASH.md``.

    Returns:
        Paths of the model file and its card.

    Raises:
        UsageError: The name or the pixel size cannot be used.
        InputError: There is no such run or checkpoint, or it lacks config, classes or sound weights.
    """
    checkpoint = _checkpoint_of(options.model)
    model = load_model_file(checkpoint)
    # Built once: its weights are checked against its config.
    _ = Predictor.from_model(model, device='cpu').model
    try:
        model = replace(
            model,
            name=check_name(options.name or model.name),
            pixel_size_um=check_pixel_size(options.pixel_size) or model.pixel_size_um,
        )
    except InputError as error:
        raise UsageError(str(error)) from None
    minutes = None
    if model.run is not None:
        minutes = with_times(model.run, checkpoint.resolve()).minutes
        run = _without_folders(model.run.without_times().to_dict())
        model = replace(model, run=RunRecord.from_dict(run, 'the record'))
    if options.postprocess is not None:
        model = replace(model, postprocess=load_chain(options.postprocess).to_config())
    commit = git_commit()
    created_with = {'version': describe_version(), 'commit': None if commit is None else commit.sha}
    with staged_folder(options.out) as folder:
        written = folder / 'model.pth'
        save_model_file(model, written, options.half, created_with)
        # What is published is what can be read; of half precision, large weights would be infinite.
        published = load_model_file(written)
        check_finite(published.state_dict, display_path(checkpoint))
        stem = f'{model.name}-{published.sha256[:8]}'
        file = written.rename(folder / f'{stem}.pth')
        if published.run is not None:
            published = replace(published, run=replace(published.run, minutes=minutes))
        write_text(folder / f'{stem}.md', _card(replace(published, path=file)))
    return options.out / f'{stem}.pth', options.out / f'{stem}.md'


def _checkpoint_of(path: Path) -> Path:
    """The checkpoint itself, or the last one of a run's folder."""
    if not path.is_dir():
        return path
    checkpoint = last_checkpoint(path)
    if checkpoint is None:
        raise InputError(
            f'{display_path(path)}: no run of tools/train.py; name a folder with last_checkpoint, or a .pth'
        )
    return checkpoint


def _without_folders(value: Any) -> Any:
    """A record without the folders of the machine that trained: of absolute paths, the last part."""
    if isinstance(value, dict):
        return {key: _without_folders(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_folders(part) for part in value]
    return _FOLDERS.sub('', value) if isinstance(value, str) else value


def _card(model: ModelFile) -> str:
    """The card of a published file."""
    pixel = 'unknown' if model.pixel_size_um is None else f'{model.pixel_size_um:g} µm'
    steps = '\n'.join(json.dumps(step) for step in model.postprocess)
    usage = '\n\n'.join(
        [
            f'```bash\nsartorius predict my_images --model {model.path.name} --out out\n```',
            markdown_table(
                ['what', 'value'],
                [
                    ('classes', ', '.join(model.classes)),
                    ('detector', f'`{model.data["model"]["type"]}`'),
                    ('weights', f'{sum(value.numel() for value in model.state_dict.values()) / 1e6:.1f} million'),
                    ('images are enlarged by', f'{model.scale:g}'),
                    ('pixel size of the training images', pixel),
                ],
            ),
            f'Post-processing, as the file holds it:\n\n```json\n{steps}\n```',
        ]
    )
    return front_matter(model.run) + format_card(model.path.name, model.sha256, model.run, None, usage)
