"""Thin processes of cells."""

from dataclasses import replace

import numpy as np
import pytest

from sartorius.synthetic.cell_types import NeuriteSpec, Spread
from sartorius.synthetic.neurites import add_neurites
from sartorius.synthetic.scene import PlacedCell
from sartorius.synthetic.shapes import CellShape, round_shape

SIZE = (300, 300)
CIRCLE = round_shape(CellShape((), np.zeros((0, 3)), 1.0, 0.0), 10)
CELL = PlacedCell(CIRCLE.crop(150, 150), CIRCLE, 150, 150)
_ROWS, _COLUMNS = np.ogrid[: SIZE[0], : SIZE[1]]
DISTANCE = np.hypot(_ROWS - 150, _COLUMNS - 150)
PLAIN = {'linking': 0.0, 'broad': 0.0, 'necks': 0.0}


@pytest.mark.parametrize('seed', range(5))
def test_a_process_gets_fainter_from_its_root_to_its_end(seed):
    length = Spread(120, 1e-6, 120, 120)
    spec = NeuriteSpec((1, 1), length, curl=0.0, mesh=(0, 0), depth=10, beads=0.0, width=4, **PLAIN)
    thickness = np.zeros(SIZE, dtype=np.float32)
    add_neurites(thickness, (CELL,), spec, 0.0, np.random.default_rng(seed))
    near, middle, far = (thickness[(low <= DISTANCE) & (low + 30 > DISTANCE)].sum() for low in (10, 50, 90))
    assert near > 1.3 * middle > 1.3**2 * far > 0


def test_broad_processes_are_three_times_as_broad():
    spec = NeuriteSpec((6, 6), Spread(60, 1e-6, 60, 60), 0.1, (0, 0), 10, beads=0.0, width=4, **PLAIN)
    covered = []
    for broad in (0.0, 1.0):
        thickness = np.zeros(SIZE, dtype=np.float32)
        add_neurites(thickness, (CELL,), replace(spec, broad=broad), 0.0, np.random.default_rng(0))
        covered.append((thickness > 0).sum())
    assert 1.5 < covered[1] / covered[0] < 3.5


def test_necks_are_broad_at_the_root_alone():
    spec = NeuriteSpec((6, 6), Spread(80, 1e-6, 80, 80), 0.0, (0, 0), 10, beads=0.0, width=4, **PLAIN)
    covered = []
    for necks in (0.0, 1.0):
        thickness = np.zeros(SIZE, dtype=np.float32)
        add_neurites(thickness, (CELL,), replace(spec, necks=necks), 0.0, np.random.default_rng(0))
        covered.append([(thickness[(low < DISTANCE) & (low + 8 > DISTANCE)] > 0).sum() for low in (9, 70)])
    assert covered[1][0] > 1.3 * covered[0][0]
    assert covered[1][1] < 1.5 * covered[0][1]
