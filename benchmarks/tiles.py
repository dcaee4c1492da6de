"""One enlarged tile of an image for training."""

from collections.abc import Callable
from functools import partial

from images import real_samples, synthetic_sample
from measure import Benchmark, Setting
from pipelines import LOAD_IMAGE, LOAD_OUR_CELLS, PACK, Sample, build_pipeline, copies_of

TILE = (208, 281)
FACTOR = 3.8
TURN = [dict(type='RandomQuarterTurn', quarters=(2,))]
"""One turn, so that every run does as much."""
ENLARGE = dict(type='Resize', scale_factor=FACTOR, keep_ratio=True)
CROP = dict(type='RandomCellCrop', crop_size=tuple(int(side * FACTOR + 0.5) for side in TILE))
PEERS = {
    'resize, turn, crop': [ENLARGE, *TURN, CROP],
    'turn, resize, crop': [*TURN, ENLARGE, CROP],
}


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """Against enlarging the whole image, in the order of the recipes and in the best one."""
    cells = 20 if setting.quick else 400
    makers = {f'synthetic-{cells}': partial(synthetic_sample, setting, cells)}
    if setting.data_root:
        makers['real'] = lambda: real_samples(setting, 1)[0]
    return [partial(make_benchmark, name, make, peer) for name, make in makers.items() for peer in PEERS]


def make_benchmark(name: str, make: Callable[[], Sample], peer: str) -> Benchmark:
    """``RandomTile`` against this project's own transforms on the whole image."""
    sample = make()
    tile = dict(type='RandomTile', tile_size=TILE, scale_range=(FACTOR, FACTOR))
    return Benchmark(
        name=f'tiles/{name}-{peer.split(",")[0]}-first',
        work=f'load {len(sample["instances"])} cells, turn, one tile of {TILE[1]}x{TILE[0]} px enlarged '
        f'{FACTOR} times, pack',
        peer=peer,
        ours=build_pipeline([LOAD_IMAGE, LOAD_OUR_CELLS, *TURN, tile, PACK]),
        theirs=build_pipeline([LOAD_IMAGE, LOAD_OUR_CELLS, *PEERS[peer], PACK]),
        same=compare_sizes,
        fresh=copies_of(sample),
    )


def compare_sizes(ours: Sample, theirs: Sample) -> str:
    """Whether two packed samples are of one size; each shows a place of its own."""
    sizes = [tuple(sample['inputs'].shape[1:]) for sample in (ours, theirs)]
    return 'same size' if sizes[0] == sizes[1] else f'{sizes[0]} and {sizes[1]} px'
