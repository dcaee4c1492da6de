"""The table of fusion methods. A new one is a function in a file of its own, and a line here."""

from collections.abc import Callable

from sartorius.fusion.candidates import Candidates, Fusion
from sartorius.fusion.nms import nms
from sartorius.fusion.wbf import wbf

METHODS: dict[str, Callable[[Candidates, float], Fusion]] = {
    'wbf': wbf,
    'nms': nms,
}
