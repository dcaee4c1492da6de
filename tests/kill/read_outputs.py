"""``read_outputs.py KIND PATH...``: reads a tool's outputs as the project does, and prints a digest of their content.

Ends with 1 and one sentence where the project refuses them.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from kill_trees import files_of, tree_of

from sartorius.utils.cli import run_tool


def annotations(*paths: str) -> object:
    """Cells and boxes of annotation files."""
    from sartorius.annotations.reading import load_annotations

    return [
        {name: [(crop.x, crop.y, crop.area) for crop in image.crops] for name, image in load_annotations(path).items()}
        for path in paths
    ]


def folds(folder: str, data_root: str) -> object:
    """A prepared folder: what check_config says of each fold, and all annotations."""
    import runpy

    from kill_cases import REPO_ROOT

    check = runpy.run_path(str(REPO_ROOT / 'tools' / 'analysis' / 'check_config.py'))['main']
    files = sorted(Path(folder).glob('*.json'))
    for path in files:
        if path.name.endswith('_val.json'):
            fold = path.name.removeprefix('fold').removesuffix('_val.json')
            check(['mrcnn_r50', '--small', '--fold', fold, '--annotations', folder, '--data-root', data_root])
    return [annotations(str(path)) for path in files if path.name != 'test.json'] + [
        Path(folder, 'folds.csv').read_text()
    ]


def splits(folder: str) -> object:
    """A prepared LIVECell folder."""
    return annotations(*(str(Path(folder, f'{name}.json')) for name in ('train', 'val', 'test')))


def edits(table: str, log: str = '') -> object:
    """A cleaned CSV with its log of edits, undone."""
    from sartorius.label_quality.edits import read_log, undo_edits

    found = read_log(log or Path(table).with_name(f'{Path(table).stem}_edits.csv'))
    text, left = undo_edits(table, found, lambda _: True)
    return [Path(table).read_text(), text, len(left), len(found)]


def run(folder: str) -> object:
    """Checkpoints of a training, each of which must be whole."""
    from sartorius.models.checkpoints import read_checkpoint

    for path in sorted(Path(folder).glob('*.pth')):
        read_checkpoint(path)
    last = Path(folder, 'last_checkpoint')
    if last.exists() and not Path(last.read_text().strip()).is_file():
        raise RuntimeError(f'{last} names no file: {last.read_text()!r}')
    return 'whole'


def predictions(path: str) -> object:
    """A predictions file."""
    from sartorius.predictions.store import load_predictions

    return [
        (
            image.image_id,
            *(getattr(image, name).tobytes().hex() for name in ('boxes', 'scores', 'labels', 'soft_masks')),
        )
        for image in load_predictions(path).images
    ]


def chain(path: str) -> object:
    """A tuned chain."""
    from sartorius.postprocess.chain import load_chain

    return load_chain(path).to_config()


def pseudo(path: str) -> object:
    """A training CSV with pseudo-labels."""
    return [annotations(path), Path(path).read_text()]


def tree(folder: str) -> object:
    """Any files of one or more folders, as whoever opens them with the project's functions sees them."""
    from sartorius.utils.pending import finish_pending

    for path in [Path(folder), *(path for path in Path(folder).rglob('*') if path.is_dir())]:
        if path.is_dir():
            finish_pending(path)
    return [(name, Path(folder, name).read_bytes().hex()) for name in files_of(tree_of(Path(folder)))]


def content(*paths: str) -> object:
    """What must be equal in files whose bytes may differ: tensors, arrays of predictions, steps of chains."""
    from sartorius.models.checkpoints import read_checkpoint

    digests = []
    for path in paths:
        if path.endswith('.npz'):
            digests.append(predictions(path))
        elif path.endswith('.pth'):
            digests.append(list(_numbers(read_checkpoint(path), '')))
        else:
            digests.append(chain(path))
    return digests


def _numbers(value: object, place: str) -> Iterator[tuple[str, object]]:
    """Weights and the state of the optimizer, with their places; not the record of the run."""
    if place.startswith(('/meta', '/message_hub')):
        return
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _numbers(part, f'{place}/{key}')
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _numbers(part, f'{place}/{number}')
    else:
        yield place, value.numpy().tobytes().hex() if hasattr(value, 'numpy') else value


KINDS: dict[str, Callable[..., object]] = {
    kind.__name__: kind for kind in (annotations, folds, splits, edits, run, predictions, chain, pseudo, tree, content)
}


def main() -> None:
    """Reads and prints."""
    kind, *paths = sys.argv[1:]
    text = json.dumps(KINDS[kind](*paths), sort_keys=True, default=str)
    print('digest', hashlib.sha256(text.encode()).hexdigest())


if __name__ == '__main__':
    run_tool(main)
