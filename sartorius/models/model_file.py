"""Model files: weights with all that prediction needs, published or as tools/train.py writes them.

A published file (``tools/publish_model.py``) is a dict of plain values and tensors::

    format, version       'sartorius-model', 1
    name                  of the model, such as 'mrcnn_r50'
    state_dict            weights, float32 or float16
    config                model, test pipeline, tiles and test-time augmentation (sartorius/models/file_config.py)
    classes, palette      names and colours [R, G, B], in the order of the labels
    postprocess           the chain, a list of dicts
    pixel_size_um         edge of a pixel of the images it was trained on, in µm; None if unknown
    meta                  'run': the record of its training; 'created_with': version and commit

A checkpoint of a training says the same in other words: its ``meta`` holds the config as text. Nothing in either runs
as code: the reader builds no objects, texts of configs are parsed and not executed, and configs may name only known
layers and transforms.
"""

import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from sartorius.models.checkpoints import read_checkpoint
from sartorius.models.file_config import check_test_config, class_count, make_test_config, parse_config_text, plain_data
from sartorius.postprocess.chain import build_chain, load_chain_for
from sartorius.predictions.provenance import RunRecord, read_run
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path, sha256_of
from sartorius.utils.paths import display_path

FORMAT = 'sartorius-model'
VERSION = 1
SUFFIX = '.pth'
SHIPPED = Path(__file__).parent / 'shipped'
"""Folder of the models that come with the package."""
MODELS_VARIABLE = 'SARTORIUS_MODELS'
_MAX_CLASSES = 1000


@dataclass(frozen=True)
class ModelFile:
    """A trained model and what it needs to predict.

    Attributes:
        path: The file.
        name: Of the model.
        sha256: Hash of the file.
        data: Config as plain data (:mod:`sartorius.models.file_config`).
        state_dict: Weights on the CPU, floating-point ones in float32.
        classes: Class names in the order of the labels.
        palette: A colour ``(R, G, B)`` for each class, 0 to 255; empty if there is none.
        postprocess: Configs of the post-processing's steps.
        pixel_size_um: Edge of a pixel of the training images in µm; None if unknown.
        run: Record of the training; None without one.
        created_with: Version and commit of the code that published it; empty for checkpoints.
    """

    path: Path
    name: str
    sha256: str
    data: Mapping[str, Any]
    state_dict: Mapping[str, Tensor]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    postprocess: list[dict[str, Any]]
    pixel_size_um: float | None = None
    run: RunRecord | None = None
    created_with: Mapping[str, Any] | None = None

    @property
    def scale(self) -> float:
        """Factor by which images are enlarged before the model sees them."""
        return next(step['scale_factor'] for step in self.data['pipeline'] if step['type'] == 'Resize')

    @property
    def origins(self) -> tuple[str | None, ...]:
        """Whose images the model and its first weights were trained on; None where that is not recorded."""
        if self.run is None:
            return (None,)
        return tuple(dict.fromkeys(origin for run in self.run.lineage() for origin, _ in run.data.origins))

    @property
    def config(self) -> Config:
        """A config for :func:`sartorius.inference.build_inference_config`, with a test data set that has no images."""
        data = plain_data(self.data)
        metainfo = (
            dict(classes=self.classes, palette=list(self.palette)) if self.palette else dict(classes=self.classes)
        )
        # Two-stage detectors want the key.
        data['model']['train_cfg'] = None
        dataset = dict(type='SartoriusDataset', metainfo=metainfo, pipeline=data.pop('pipeline'), test_mode=True)
        return Config(
            dict(
                default_scope='mmdet',
                **data,
                postprocess=self.postprocess,
                test_dataloader=dict(batch_size=1, num_workers=0, dataset=dataset),
            )
        )


def load_model_file(path: str | Path) -> ModelFile:
    """Reads a published model or a checkpoint of tools/train.py; runs no code of the file.

    Raises:
        InputError: The file cannot be read, lacks something that only a config can say, or holds what no model needs.
    """
    path = Path(path)
    content, sha256 = read_checkpoint(path, mapped=False), sha256_of(path)
    try:
        _check_hash_in_name(path.stem, sha256)
        parts = _read_published(content) if 'format' in content else _read_training(path, content)
        check_test_config(parts['data'])
        weights = _check_weights(content)
        classes = _check_classes(parts.pop('classes'), parts['data'])
        postprocess = build_chain(parts.pop('postprocess')).for_classes(classes).to_config()
    except InputError as error:
        raise InputError(f'{display_path(path)}: {error}') from None
    return ModelFile(path=path, sha256=sha256, state_dict=weights, classes=classes, postprocess=postprocess, **parts)


def save_model_file(model: ModelFile, out: Path, half: bool, created_with: Mapping[str, Any]) -> None:
    """Writes a published model, atomically.

    Args:
        model: What is written.
        out: The file.
        half: Whether weights are stored as float16; they are read as float32.
        created_with: Version and commit of the running code.
    """
    content = {
        'format': FORMAT,
        'version': VERSION,
        'name': model.name,
        'state_dict': {
            key: value.half() if half and value.is_floating_point() else value.clone()
            for key, value in model.state_dict.items()
        },
        'config': dict(model.data),
        'classes': list(model.classes),
        'palette': [list(colour) for colour in model.palette],
        'postprocess': model.postprocess,
        'pixel_size_um': model.pixel_size_um,
        'meta': {'run': None if model.run is None else model.run.to_dict(), 'created_with': dict(created_with)},
    }
    # By way of memory: torch does not say that a disk is full, and would write the temporary name into the file, whose
    # hash would change.
    written = io.BytesIO()
    torch.save(content, written)
    with atomic_path(out) as temporary:
        temporary.write_bytes(written.getbuffer())


def find_model(name_or_path: str | Path | None = None) -> Path:
    """File of a model: a path, or the name of one in the folder ``$SARTORIUS_MODELS`` or of one of the package.

    Args:
        name_or_path: A name may lack the suffix and the digits of the hash: ``cells`` for ``cells-1a2b3c4d.pth``; None
            is the package's own model.

    Raises:
        InputError: There is none; the message lists those that there are.
    """
    if name_or_path is not None and Path(name_or_path).is_file():
        return Path(name_or_path)
    models = known_models()
    if name_or_path is None:
        shipped = [path for path in models.values() if path.parent == SHIPPED]
        if not shipped:
            raise InputError('no model comes with this installation; name one with --model FILE')
        return shipped[0]
    name = str(name_or_path)
    if name not in models:
        known = ', '.join(sorted({_without_hash(path.stem) for path in models.values()})) or 'none'
        raise InputError(
            f'{name}: no such model file; known by name: {known} (${MODELS_VARIABLE} can name a folder of more)'
        )
    return models[name]


def is_shipped(path: str | Path | None) -> bool:
    """Whether a file is a model that comes with the package."""
    return path is not None and Path(path).resolve().parent == SHIPPED.resolve()


def known_models() -> dict[str, Path]:
    """Models that are found by name: those in ``$SARTORIUS_MODELS``, then those of the package; names without hash."""
    folders = [SHIPPED]
    if own := os.environ.get(MODELS_VARIABLE):
        folders.insert(0, Path(own).expanduser())
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob(f'[!.]*{SUFFIX}')):
            found.setdefault(_without_hash(path.stem), path)
            found.setdefault(path.stem, path)
    return found


def check_name(name: str) -> str:
    """A name of a model, which is part of a file name.

    Raises:
        InputError: It holds other characters than names do.
    """
    if not name or len(name) > 100 or name[0] == '.' or not all(part.isalnum() or part in '_-.' for part in name):
        raise InputError(f'{name[:60]!r} is no name of a model; use letters, digits, "_", "-" and "."')
    return name


def check_pixel_size(value: object) -> float | None:
    """A pixel size in µm, or None for an unknown one.

    Raises:
        InputError: It is no number above 0.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise InputError(f'a pixel size of {str(value)[:40]} µm; it must be above 0')
    return float(value)


def _without_hash(stem: str) -> str:
    name, _, digits = stem.rpartition('-')
    return name if name and len(digits) == 8 and set(digits) <= set('0123456789abcdef') else stem


def _check_hash_in_name(stem: str, sha256: str) -> None:
    """Checks the digits of the hash that the name of a published file ends in, if it does."""
    if (name := _without_hash(stem)) != stem and not sha256.startswith(digits := stem.removeprefix(f'{name}-')):
        raise InputError(
            f'its SHA-256 begins with {sha256[:8]}, and its name says {digits}: it was changed; fetch it again, or '
            'name it anew'
        )


def _read_published(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of :class:`ModelFile` from a published file, unchecked but for their kinds."""
    if content['format'] != FORMAT or content.get('version') != VERSION:
        raise InputError(
            f'format {str(content["format"])[:40]!r}, version {str(content.get("version"))[:40]}; this version of the '
            f'package reads {FORMAT} {VERSION}'
        )
    for key, kind in (('name', str), ('config', dict), ('classes', list), ('palette', list), ('postprocess', list)):
        if not isinstance(content.get(key), kind):
            raise InputError(f'its entry {key} is missing or no {kind.__name__}')
    meta = content.get('meta') if isinstance(content.get('meta'), dict) else {}
    created = meta.get('created_with')
    return dict(
        name=check_name(content['name']),
        data=plain_data(content['config']),
        classes=content['classes'],
        palette=_check_palette(content['palette']),
        postprocess=content['postprocess'],
        pixel_size_um=check_pixel_size(content.get('pixel_size_um')),
        run=_check_run(meta.get('run')),
        created_with=created if isinstance(created, dict) else None,
    )


def _read_training(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The same from a checkpoint of tools/train.py."""
    meta = content.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str):
        raise InputError('holds weights but no config; give the config that it was trained with: --config CONFIG')
    try:
        config = parse_config_text(text)
        data = make_test_config(config)
    except InputError as error:
        raise InputError(f'{error}; give the config that it was trained with: --config CONFIG') from None
    dataset = meta.get('dataset_meta') if isinstance(meta.get('dataset_meta'), dict) else {}
    run = _check_run(meta.get('run')) or read_run(path.resolve().parent)
    return dict(
        name=(run and run.recipe) or path.stem,
        data=data,
        classes=dataset.get('classes', ()),
        palette=_check_palette(dataset.get('palette') or ()),
        pixel_size_um=check_pixel_size(config.get('pixel_size_um')),
        postprocess=config['postprocess']
        if config.get('postprocess')
        else load_chain_for(dataset.get('classes', ()))[0].to_config(),
        run=run,
    )


def _check_weights(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights, floating-point ones as float32 where they were stored as float16.

    Raises:
        InputError: There are none, or some are no tensors.
    """
    weights = content.get('state_dict')
    if not isinstance(weights, dict) or not weights:
        raise InputError('holds no weights (its state_dict is missing or empty)')
    if not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError('its state_dict holds more than weights')
    return {key: value.float() if value.dtype == torch.float16 else value for key, value in weights.items()}


def _check_classes(classes: object, data: Mapping[str, Any]) -> tuple[str, ...]:
    if not isinstance(classes, list | tuple) or not 0 < len(classes) <= _MAX_CLASSES:
        raise InputError('names no classes; give the config that it was trained with: --config CONFIG')
    for name in classes:
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 100:
            raise InputError(f'{str(name)[:40]!r} is no name of a class')
    if len(set(classes)) != len(classes):
        raise InputError('two of its classes have one name')
    if (count := class_count(data['model'])) not in (None, len(classes)):
        raise InputError(f'names {len(classes)} classes, and its model has {count}')
    return tuple(classes)


def _check_palette(palette: Sequence[Any]) -> tuple[tuple[int, int, int], ...]:
    if any(
        not isinstance(colour, list | tuple)
        or len(colour) != 3
        or any(type(part) is not int or not 0 <= part <= 255 for part in colour)
        for colour in palette
    ):
        raise InputError('its palette is no list of colours [R, G, B] of 0 to 255')
    return tuple(tuple(colour) for colour in palette)


def _check_run(run: object) -> RunRecord | None:
    return RunRecord.from_dict(run, 'the record of its training') if run else None
