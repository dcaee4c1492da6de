"""Pictures of training samples and a page that shows them: what tools/analysis/browse_dataset.py does."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from numpy.typing import NDArray

from sartorius.datasets.sample_checks import boxes_of, crops_of, find_problems
from sartorius.datasets.samplers import SeededDataset
from sartorius.datasets.transforms.load_cell_annotations import LoadCellAnnotations
from sartorius.datasets.transforms.load_cell_image import LoadCellImage
from sartorius.engine.config import innermost
from sartorius.engine.run_config import DataOptions, RecipeOptions, TrainOptions, build_train_config
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import staged_folder
from sartorius.utils.paths import WORK_DIRS, display_path
from sartorius.visualization.samples import Sample, SampleRow, draw_sample, sample_page

PICTURES = re.compile(r'sample_.*\.png')


@dataclass(frozen=True)
class BrowseOptions:
    """Number and kind of samples, and where the page is written.

    Attributes:
        out: Folder for page and pictures; ``work_dirs/browse/NAME`` if None.
        samples: Number of samples.
        repeats: Number of samples of each image.
        boxes: Whether boxes are drawn too.
        split: ``train``, or ``val``, which loads no cells.
        seed: Seed of order and augmentation; the config's if None.
    """

    out: Path | None = None
    samples: int = 24
    repeats: int = 3
    boxes: bool = False
    split: str = 'train'
    seed: int | None = None


@dataclass(frozen=True)
class Browsed:
    """Written page.

    Attributes:
        page: Path of the page.
        rows: Its images.
        seconds: Time of each sample, image loading included.
    """

    page: Path
    rows: list[SampleRow]
    seconds: list[float]


def browse(recipe: RecipeOptions, data: DataOptions, options: BrowseOptions) -> Browsed:
    """Writes a picture of each sample and a page that shows them all.

    Raises:
        UsageError: A number is below 1.
        InputError: Config, annotations or images are missing or broken.
    """
    for name in ('samples', 'repeats'):
        if getattr(options, name) < 1:
            raise UsageError(f'--{name} is {getattr(options, name)}; it must be 1 or more')
    config = build_train_config(recipe, data, TrainOptions(seed=options.seed))
    dataset = build_samples(config, options.split)
    classes = tuple(dataset.metainfo['classes'])
    # The pipeline of validation has nothing random: every sample of an image is the same.
    passes = options.repeats if options.split == 'train' else 1
    out = options.out or WORK_DIRS / 'browse' / Path(config.work_dir).name
    seconds: list[float] = []
    chosen = choose_samples(dataset, options.samples, passes)
    rows = [_make_row(dataset, numbers, seconds) for numbers in progress(chosen.values(), 'samples')]
    # Pictures of an earlier run beside a page that does not show them would mislead.
    with staged_folder(out, stale=PICTURES.fullmatch) as folder:
        for row in progress(rows, 'pictures'):
            for sample in row.samples:
                picture = draw_sample(sample, row.image_id, classes, options.boxes)
                path = folder / f'sample_{sample.number:06d}_{row.image_id.replace("/", "_")}.png'
                # cv2.imwrite does not raise when the disk is full; write_bytes does.
                path.write_bytes(cv2.imencode('.png', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())
        page = sample_page(rows, classes, _source(config, recipe, options.split), options.boxes)
        (folder / 'index.html').write_text(page, encoding='utf-8')
    return Browsed(out / 'index.html', rows, seconds)


def build_samples(config: Config, split: str) -> SeededDataset:
    """The data set of ``train`` or ``val``, its annotations loaded, as numbered samples.

    Raises:
        InputError: The annotations are missing, or the config names a data set or transform, or an argument of one,
            that does not exist.
    """
    init_default_scope(config.get('default_scope', 'mmdet'))
    if split == 'train':
        settings = config.train_dataloader.dataset
    elif config.val_dataloader is None:
        raise UsageError('--fold all holds out no image; browse --split train')
    else:
        settings = dict(type='SeededDataset', dataset=config.val_dataloader.dataset, seed=config.randomness.seed)
    try:
        dataset = DATASETS.build(settings)
    except (KeyError, TypeError) as error:
        reason = str(error.args[0]).splitlines()[0]
        raise InputError(f'{config.filename}: the data set cannot be built: {reason}') from error
    if len(dataset) == 0:
        raise InputError(f'{innermost(settings).ann_file}: holds no image that the data set takes')
    return dataset


def choose_samples(dataset: SeededDataset, samples: int, passes: int) -> dict[int, list[int]]:
    """Samples that are shown: of the first images of a run, one from each of its first passes.

    Args:
        dataset: The numbered samples of a run.
        samples: Number to choose, if there are as many.
        passes: Maximum number of samples per image.

    Returns:
        Sample numbers by image (index in the data set), in the order of the run's first pass. Where images are drawn,
        each is shown once: sample numbers by themselves.
    """
    if dataset.synthetic is not None or getattr(dataset.dataset, 'endless', False):
        return {number: [number] for number in range(samples)}
    size = len(dataset)
    count = min(-(-samples // passes), size)
    chosen: dict[int, list[int]] = {index: [] for index in dataset.order(0)[:count].tolist()}
    for number in range(passes):
        places = np.argsort(dataset.order(number))
        for index, numbers in chosen.items():
            numbers.append(number * size + int(places[index]))
    surplus = max(0, count * passes - samples)
    last = next(reversed(chosen))
    chosen[last] = chosen[last][: passes - surplus]
    return chosen


def _make_row(dataset: SeededDataset, numbers: Sequence[int], seconds: list[float]) -> SampleRow:
    """An image before and after; the time of each sample is added to ``seconds``."""
    source, index = dataset.source(numbers[0])
    record = source.get_data_info(index)
    raw = record if 'img' in record else LoadCellAnnotations()(LoadCellImage()(record))
    before = Sample(
        title='Raw',
        image=_for_display(raw['img']),
        crops=raw['gt_masks'].crops,
        labels=raw['gt_bboxes_labels'],
        boxes=raw['gt_bboxes'].numpy(),
        ignored=raw['gt_ignore_flags'],
    )
    after = []
    for number in numbers:
        start = time.perf_counter()
        packed = dataset[number]
        seconds.append(time.perf_counter() - start)
        after.append(_as_sample(packed, number, len(dataset.metainfo['classes'])))
    return SampleRow(str(record['img_id']), before, after).stretched()


def _as_sample(packed: Mapping[str, Any], number: int, num_classes: int) -> Sample:
    """A packed sample, its ignored cells after the others."""
    if not isinstance(packed, Mapping) or not {'inputs', 'data_samples'} <= packed.keys():
        raise InputError('the pipeline does not end with PackDetInputs, so that no model can take its samples')
    image = np.ascontiguousarray(packed['inputs'].numpy().transpose(1, 2, 0))
    sample = packed['data_samples']
    parts = [sample.gt_instances, sample.get('ignored_instances', InstanceData())]
    labels = [part.get('labels', np.zeros(len(part), dtype=np.int64)) for part in parts]
    return Sample(
        title=f'Sample {number}',
        image=_for_display(image),
        crops=[crop for part in parts for crop in crops_of(part)],
        labels=np.concatenate(labels),
        boxes=np.concatenate([boxes_of(part) for part in parts]),
        ignored=np.repeat([False, True], [len(part) for part in parts]),
        problems=tuple(find_problems(sample, image.shape[:2], num_classes)),
        number=number,
    )


def _for_display(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Blue, green, red to grey where the channels are equal, and to RGB elsewhere; uint8.

    Some transforms return floats; values outside 0 to 255, which no model expects, are clipped.
    """
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    if (image == image[..., :1]).all():
        return np.ascontiguousarray(image[..., 0])
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _source(config: Config, recipe: RecipeOptions, split: str) -> dict[str, Any]:
    dataset = innermost(config[f'{split}_dataloader'].dataset)
    steps = [
        f'{step["type"]}({", ".join(f"{key}={value!r}" for key, value in step.items() if key != "type")})'
        for step in dataset.pipeline
    ]
    return {
        'config': display_path(recipe.config) + (' --small' if recipe.small else ''),
        'options': ' '.join(recipe.cfg_options) or None,
        'split': split,
        'annotations': display_path(dataset.ann_file) if 'ann_file' in dataset else 'none',
        'images': display_path(dataset.data_root) if 'ann_file' in dataset else 'drawn',
        'seed': config.randomness.seed,
        'pipeline': '\n'.join(steps),
    }
