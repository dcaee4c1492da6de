"""The table of fusion methods. A new one is a function in a file of its own, and a line here."""

from collections.abc import Callable
from dataclasses import dataclass

from sartorius.fusion.candidates import Candidates, Fusion
from sartorius.fusion.nms import nms
from sartorius.fusion.wbf import wbf


@dataclass(frozen=True)
class Method:
    """A way to fuse boxes.

    Attributes:
        run: Fuses candidates; its second argument is the IoU from which boxes are one cell.
        iou_threshold: That IoU where none is asked for.
    """

    run: Callable[[Candidates, float], Fusion]
    iou_threshold: float


METHODS: dict[str, Method] = {
    # The IoU of .6 up to which the models' own NMS leaves two boxes standing: below it, a faint double of the
    # same model would join the clear box and drag its place and score down.
    'wbf': Method(wbf, 0.6),
    'nms': Method(nms, 0.5),
}
