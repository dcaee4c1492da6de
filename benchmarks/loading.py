"""Loading and augmenting one image for training."""

from collections.abc import Callable
from functools import partial

from images import real_samples, synthetic_sample
from measure import Benchmark, Setting
from pipelines import (
    FLIP,
    LOAD_IMAGE,
    LOAD_OUR_CELLS,
    LOAD_STOCK_CELLS,
    PACK,
    Sample,
    build_pipeline,
    compare_cells,
    compare_images,
    copies_of,
    resize_to_fit,
)

SCALE = (1333, 800)
AUGMENT_AND_PACK = [resize_to_fit(SCALE), FLIP, PACK]
GOAL = '50x in time, 10x in memory'


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """Against the stock pipeline, and against the image alone."""
    makers = {
        f'synthetic-{cells}': partial(synthetic_sample, setting, cells)
        for cells in ((20,) if setting.quick else (400, 800))
    }
    if setting.data_root:
        makers['real'] = lambda: real_samples(setting, 1)[0]
    return [partial(kind, name, make) for name, make in makers.items() for kind in (against_stock, against_image)]


def against_stock(name: str, make: Callable[[], Sample]) -> Benchmark:
    """Against ``LoadAnnotations(with_mask=True)``."""
    sample = make()
    return Benchmark(
        name=f'loading/{name}',
        work=f'load, resize, flip and pack {describe(sample)}',
        peer='MMDetection',
        ours=build_pipeline([LOAD_IMAGE, LOAD_OUR_CELLS, *AUGMENT_AND_PACK]),
        theirs=build_pipeline([LOAD_IMAGE, LOAD_STOCK_CELLS, *AUGMENT_AND_PACK]),
        same=compare_cells,
        goal=GOAL,
        fresh=copies_of(sample),
    )


def against_image(name: str, make: Callable[[], Sample]) -> Benchmark:
    """Against the same pipeline without any cells."""
    sample = make()
    return Benchmark(
        name=f'loading/{name}-image',
        work=f'the same, {describe(sample)}',
        peer='image alone',
        ours=build_pipeline([LOAD_IMAGE, LOAD_OUR_CELLS, *AUGMENT_AND_PACK]),
        theirs=build_pipeline([LOAD_IMAGE, *AUGMENT_AND_PACK]),
        same=compare_images,
        goal='at least 0.67x: 1.5 times the image alone',
        fresh=copies_of(sample),
    )


def describe(sample: Sample) -> str:
    """What is loaded, in a few words."""
    kind = 'synthetic' if 'synthetic' in sample['img_id'] else 'real'
    return f'{len(sample["instances"])} cells of a {kind} image'
