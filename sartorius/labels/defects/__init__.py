"""What can be wrong with a label: a file a defect, each with one function from an image to its findings.

To add one, write a file beside these with a :class:`Defect` and put it where it belongs in :data:`DEFECTS`.
"""

from collections.abc import Mapping

from sartorius.labels.defects.base import Defect
from sartorius.labels.defects.convex_filled import CONVEX_FILLED
from sartorius.labels.defects.double import DOUBLE
from sartorius.labels.defects.hollow import HOLLOW
from sartorius.labels.defects.overlapping import OVERLAPPING
from sartorius.labels.defects.pieces import PIECES, SPECK
from sartorius.labels.defects.size import SIZE
from sartorius.labels.defects.sliver import SLIVER
from sartorius.labels.defects.wrong_class import WRONG_CLASS

DEFECTS: Mapping[str, Defect] = {
    defect.name: defect
    for defect in (WRONG_CLASS, HOLLOW, CONVEX_FILLED, SPECK, PIECES, SLIVER, DOUBLE, OVERLAPPING, SIZE)
}
"""In the order in which they are looked for and mended, each in what the mends before it have left."""

SAFE_DEFECTS = ('hollow', 'convex-filled', 'speck', 'double')
"""Those that are mended unless others are named: the mended label is nearer to the cell, and no cell is lost."""

__all__ = ['DEFECTS', 'SAFE_DEFECTS', 'Defect']
