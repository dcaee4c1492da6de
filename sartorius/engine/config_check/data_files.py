"""Check for missing weights and image files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mmengine.config import Config

from sartorius.annotations.info import read_info
from sartorius.engine.config_check.data import SplitBoxes
from sartorius.engine.config_check.report import ERROR, OK, Report
from sartorius.engine.first_weights import first_run_checkpoint
from sartorius.models.checkpoints import weights_address
from sartorius.models.downloads import address_hash, cached_file
from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path

TOPIC = 'files'
NAMED = 3


def check_images(split: SplitBoxes, what: str, report: Report) -> None:
    """Checks that every image of a split has a file.

    Args:
        split: Its images.
        what: What messages call it: ``training`` or ``validation``.
        report: Gets the message.
    """
    if split.file is None:
        report.add(OK, TOPIC, f'{what} images are drawn; the check looks at the first {len(split.names)}')
        return
    missing = [path for path in split.paths if not path.is_file()]
    if not missing:
        report.add(OK, TOPIC, f'all {len(split.paths):,} {what} images are there')
        return
    named = ', '.join(display_path(path) for path in missing[:NAMED])
    more = ', ...' if len(missing) > NAMED else ''
    report.add(
        ERROR,
        TOPIC,
        f'{len(missing):,} of {len(split.paths):,} {what} images are missing: {named}{more}; give their folder with '
        '--data-root, or prepare the data anew (--skip-missing-images drops them)',
    )


def check_apart(train: SplitBoxes, val: SplitBoxes, report: Report) -> None:
    """Checks that training and validation images were prepared together and that none is in both.

    Args:
        train: Images that the model learns from.
        val: Images that it is scored on.
        report: Gets the message.
    """
    if train.file is None:
        return
    names = f'{display_path(train.file)} and {display_path(val.file)}'
    sets = {read_info(split.file).set_id for split in (train, val)}
    # Files of other tools, or of earlier releases, do not say it.
    if len(sets - {None}) > 1:
        report.add(ERROR, TOPIC, f'{names} were not prepared together; prepare the data anew')
    elif shared := sorted(set(train.paths) & set(val.paths)):
        report.add(
            ERROR,
            TOPIC,
            f'{len(shared):,} images are in both {names}, the first is {display_path(shared[0])}; a model must not be '
            'scored on images that it learns from: prepare the data anew',
        )


def check_weights(config: Config, name: str, fold: int | None, report: Report) -> None:
    """Checks that the weights that training starts from exist; nothing is downloaded.

    Args:
        config: The whole config; ``init_from`` takes precedence over ``load_from``, as in training.
        name: What messages call the config.
        fold: The ``--fold`` of this run.
        report: Gets the messages.
    """
    sources = [(path, source) for path, source in _pretrained(config.model, 'model') if source]
    if config.get('init_from'):
        try:
            checkpoint = first_run_checkpoint(config, name, fold)
        except InputError as error:
            report.add(ERROR, TOPIC, str(error))
        else:
            sources.insert(0, ('init_from', str(checkpoint)))
    elif config.get('load_from'):
        sources.insert(0, ('load_from', config.load_from))
    for path, source in sources:
        _check_source(path, source, report)
    if not sources and not report.has_errors(TOPIC):
        report.add(OK, TOPIC, 'training starts from random weights')


def _check_source(path: str, source: str, report: Report) -> None:
    if '://' in source:
        try:
            address = weights_address(source)
            address_hash(address)
        except InputError as error:
            report.add(ERROR, TOPIC, f'{path}: {error}')
            return
        name = urlsplit(address).path.rsplit('/', 1)[-1]
        if cached_file(address).is_file():
            report.add(OK, TOPIC, f'{path}: {name} is downloaded already')
        else:
            report.add(OK, TOPIC, f'{path}: {name} will be downloaded; without a network, --load-from FILE')
    elif Path(source).is_file():
        report.add(OK, TOPIC, f'{path}: {display_path(source)} is there')
    else:
        report.add(
            ERROR,
            TOPIC,
            f'{path}: {display_path(source)}: no such checkpoint; give other weights with --load-from FILE, or train '
            'without: --from-scratch',
        )


def _pretrained(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every ``init_cfg`` of type Pretrained with its checkpoint."""
    if isinstance(node, Mapping):
        if node.get('type') == 'Pretrained':
            yield f'{path}.checkpoint', str(node.get('checkpoint') or '')
        for key, value in node.items():
            yield from _pretrained(value, f'{path}.{key}')
    elif isinstance(node, list | tuple):
        for number, item in enumerate(node):
            yield from _pretrained(item, f'{path}.{number}')
