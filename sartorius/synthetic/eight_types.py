"""Eight made cell types under the names of LIVECell's lines: variations of the three made types.

They are made up. Their numbers were not measured on LIVECell; each only leans on what the line is known for (flat or
round, apart or in clumps, how crowded). They serve to pre-train and to test without LIVECell's images.
"""

from collections.abc import Mapping
from dataclasses import replace

from sartorius.synthetic.cell_types import SPECS, CellTypeSpec, Spread

_SHSY5Y, _ASTRO, _CORT = SPECS['shsy5y'], SPECS['astro'], SPECS['cort']
# A cortical neuron's body without its mesh of neurites and most of its debris.
_ROUND = replace(
    _CORT,
    neurites=replace(_CORT.neurites, per_cell=(0, 2), mesh=(0, 40)),
    debris=replace(_CORT.debris, specks=(20, 80), rings=(4, 30), clusters=(0, 6)),
)

LINE_SPECS: Mapping[str, CellTypeSpec] = {
    # Flat and spread out, with processes.
    'A172': replace(_ASTRO, count=Spread(110, 50, 40, 250), area=Spread(900, 600, 80, 6000)),
    # Round to polygonal, in dense islands.
    'BT474': replace(_ROUND, count=Spread(180, 80, 60, 400), area=Spread(500, 220, 80, 2500), clumping=0.9),
    # Small, round and by far the most crowded.
    'BV2': replace(_ROUND, count=Spread(450, 200, 150, 1200), area=Spread(140, 60, 40, 600), clumping=0.35),
    # Large and flat, with little structure at the edge.
    'Huh7': replace(
        _ASTRO,
        count=Spread(80, 30, 40, 200),
        area=Spread(1500, 800, 200, 8000),
        outline=replace(_ASTRO.outline, corners=(3, 5), reach=(0.1, 0.5), elongation=Spread(1.5, 0.4, 1, 3)),
        has_arms=False,
        depth=(10, 30),
    ),
    # Small, polygonal, in clumps.
    'MCF7': replace(
        _SHSY5Y,
        count=Spread(350, 150, 100, 800),
        outline=replace(_SHSY5Y.outline, reach=(0.1, 0.4), elongation=Spread(1.3, 0.3, 1, 3)),
        clumping=0.8,
    ),
    # As the made type of that name.
    'SHSY5Y': _SHSY5Y,
    # Round, apart from each other, with a strong halo.
    'SkBr3': replace(_ROUND, count=Spread(200, 90, 60, 500), area=Spread(300, 120, 80, 1500), clumping=0.15),
    # Large spindles without processes outside the mask.
    'SKOV3': replace(
        _SHSY5Y,
        count=Spread(90, 40, 40, 220),
        area=Spread(1100, 500, 200, 5000),
        outline=replace(_SHSY5Y.outline, elongation=Spread(2.5, 0.9, 1, 6)),
        neurites=replace(_SHSY5Y.neurites, per_cell=(0, 1), mesh=(0, 10)),
    ),
}
