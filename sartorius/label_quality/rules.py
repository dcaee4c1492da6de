"""From what on something counts as a defect."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sartorius.masks.convex_fill import MIN_LIKENESS, MIN_RUN
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError, did_you_mean

USUAL_AREAS: Mapping[str, tuple[int, int]] = {'shsy5y': (22, 1731), 'astro': (35, 12676), 'cort': (31, 1404)}
"""Least and greatest area in pixels by class: four robust standard deviations (1.4826 times the median absolute
deviation) of the logarithm about its median, in the competition's 41,073 rows of 503 images."""


@dataclass(frozen=True)
class Rules:
    """Thresholds of the detectors.

    Attributes:
        min_run: Shortest straight run, in pixels, that is taken for the end of a convex fill.
        min_likeness: Least IoU, in [0, 1], of a cell with the convex fill of its own outline.
        speck_fraction: A detached piece is a speck if it has less than this fraction of the largest piece's pixels.
        piece_gap: Widest gap, in pixels, over which large pieces are joined.
        sliver_width: A cell that is nowhere wider, in pixels, is a sliver.
        double_iou: Least IoU, in (0, 1], of two annotations of one cell. In 503 of the competition's images pairs of
            cells get rarer up to .4 (33 between .3 and .4, 39 up to .5, 40 up to .6) and more frequent again above
            (51 up to .7, 60 up to .8).
        doubled_share: Share, in (0, 1], of an image's cells that have a double, from which on the image is taken for
            annotated twice.
        areas: Least and greatest area in pixels by class.
    """

    min_run: int = MIN_RUN
    min_likeness: float = MIN_LIKENESS
    speck_fraction: float = 0.05
    piece_gap: int = 3
    sliver_width: int = 2
    double_iou: float = 0.5
    doubled_share: float = 0.5
    areas: Mapping[str, tuple[int, int]] = field(default_factory=lambda: dict(USUAL_AREAS))

    def __post_init__(self) -> None:
        for name in ('min_run', 'piece_gap', 'sliver_width'):
            if getattr(self, name) < 1:
                raise InputError(f'{name} is {getattr(self, name)}; it must be at least 1 px')
        for name in ('min_likeness', 'speck_fraction', 'double_iou', 'doubled_share'):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f'{name} is {getattr(self, name)}; it must lie between 0 and 1')
        if not self.double_iou:
            raise InputError('double_iou is 0; every two cells would be doubles')
        for name, (least, greatest) in self.areas.items():
            if name not in CELL_TYPES:
                raise InputError(f'no class {name!r} to give areas for{did_you_mean(name, CELL_TYPES)}')
            if not 0 <= least <= greatest:
                raise InputError(f'areas of {name} are {least} to {greatest}; give the lesser first')
