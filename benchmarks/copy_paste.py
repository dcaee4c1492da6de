"""Pasting cells of one image onto another."""

import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from images import synthetic_sample
from loading import AUGMENT_AND_PACK
from measure import Benchmark, Setting
from mmdet.structures.mask import BitmapMasks
from pipelines import LOAD_IMAGE, LOAD_OUR_CELLS, LOAD_STOCK_CELLS, Sample, build_pipeline, copies_of

from sartorius.datasets import SartoriusDataset

RESIZE, *FLIP_AND_PACK = AUGMENT_AND_PACK
# All cells of the given image: sampled by the transform, their number would be random.
PASTE_STOCK = dict(type='CopyPaste', selected=False)
GOAL = '30x in time'


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """The transform alone, and a whole pipeline with it."""
    cells, pasted = (20, 5) if setting.quick else (800, 100)
    return [partial(kind, setting, cells, pasted) for kind in (step_alone, whole_pipeline)]


def step_alone(setting: Setting, cells: int, pasted: int) -> Benchmark:
    """On samples that are loaded and resized; ours loads the other image as part of the step."""
    sample, source = samples(setting, cells)
    load_ours = build_pipeline([LOAD_IMAGE, LOAD_OUR_CELLS, RESIZE])
    load_theirs = build_pipeline([LOAD_IMAGE, LOAD_STOCK_CELLS, RESIZE])
    dataset = data_set_of(setting, source)
    ours = load_ours(*copies_of(sample)())
    theirs, (other,) = load_theirs(*copies_of(sample)()), copies_of(first_cells(source, pasted))()
    theirs['mix_results'] = [load_theirs(other)]
    paste_ours, paste_theirs = build_pipeline([paste_step(pasted)]), build_pipeline([PASTE_STOCK])
    return Benchmark(
        name='copy_paste/step',
        work=f'paste {pasted} cells onto {cells}, on an image resized to fit 1333x800; ours also loads what it pastes',
        peer='MMDetection CopyPaste',
        ours=lambda: paste_ours({**ours, 'dataset': weakref.ref(dataset)}),
        theirs=lambda: paste_theirs(shallow_copy(theirs)),
        same=compare_steps,
        goal=GOAL,
    )


def whole_pipeline(setting: Setting, cells: int, pasted: int) -> Benchmark:
    """Both images loaded, resized, flipped and packed."""
    sample, source = samples(setting, cells)
    load_theirs = build_pipeline([LOAD_IMAGE, LOAD_STOCK_CELLS, RESIZE, *FLIP_AND_PACK[:-1]])
    paste_theirs = build_pipeline([PASTE_STOCK, FLIP_AND_PACK[-1]])
    run_ours = build_pipeline([LOAD_IMAGE, LOAD_OUR_CELLS, paste_step(pasted), *AUGMENT_AND_PACK])
    dataset = data_set_of(setting, source)
    return Benchmark(
        name='copy_paste/pipeline',
        work=f'load {cells} cells, paste {pasted} of another image, resize, flip, pack',
        peer='MMDetection CopyPaste',
        ours=lambda sample, _: run_ours({**sample, 'dataset': weakref.ref(dataset)}),
        theirs=lambda sample, other: paste_theirs({**load_theirs(sample), 'mix_results': [load_theirs(other)]}),
        same=compare_packed,
        goal=GOAL,
        fresh=copies_of(sample, first_cells(source, pasted)),
    )


def samples(setting: Setting, cells: int) -> tuple[Sample, Sample]:
    """An image to paste onto, and one of half as many cells to take them from."""
    return synthetic_sample(setting, cells), synthetic_sample(setting, cells // 2)


def first_cells(sample: Sample, count: int) -> Sample:
    """A sample with its first cells alone, so that the stock pipeline need not load what it does not paste."""
    return {**sample, 'instances': sample['instances'][:count]}


def data_set_of(setting: Setting, sample: Sample) -> SartoriusDataset:
    """Data set whose only image is that of a sample."""
    json_path = setting.folder / f'{Path(sample["img_path"]).stem}.json'
    return SartoriusDataset(ann_file=str(json_path), data_root=str(setting.folder), pipeline=[])


def paste_step(pasted: int) -> dict[str, Any]:
    """The project's step, with blended rims, turns and flips as by default; on top of other cells, like the peer's."""
    return dict(type='CellCopyPaste', cells=(pasted, pasted), placement='anywhere', prob=1.0)


def shallow_copy(sample: Sample) -> Sample:
    """A copy of a sample with bitmaps; CopyPaste puts new arrays into the masks, but writes into none."""
    masks = sample['gt_masks']
    return {**sample, 'gt_masks': BitmapMasks(masks.masks, masks.height, masks.width)}


def compare_steps(ours: Sample, theirs: Sample) -> str:
    """How the results differ by design: places are random, and each drops hidden cells by its own rule."""
    return _differences(ours['img'].dtype, len(ours['gt_masks']), theirs['img'].dtype, len(theirs['gt_masks']))


def compare_packed(ours: Sample, theirs: Sample) -> str:
    """The same for packed samples."""
    counts = [len(sample['data_samples'].gt_instances) for sample in (ours, theirs)]
    types = [sample['inputs'].numpy().dtype for sample in (ours, theirs)]
    return _differences(types[0], counts[0], types[1], counts[1])


def _differences(type_: np.dtype, cells: int, peer_type: np.dtype, peer_cells: int) -> str:
    return f'other places: {cells} and {peer_cells} cells; {type_} and {peer_type} image'
