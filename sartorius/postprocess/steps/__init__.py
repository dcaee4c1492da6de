"""The steps of post-processing: each takes one image's predictions and returns new ones.

Thresholds and areas are one number, or a number a cell type (:data:`sartorius.postprocess.per_class.PerClass`). Rules
that all steps keep:

- The cells that stay keep their order, their boxes and their soft masks. Scores change in the steps that say so
  (``changes_scores``) alone, and never rise. Of cells with equal scores the earlier one wins.
- Where a step works on pixels and the soft masks are not binarised yet, it binarises them at .5.
- The chain removes cells without a finite score or with an unusable box before the first step
  (:func:`drop_unusable`), so that no step meets them.
- A step that drops cells does nothing else, but for ``RemoveOverlap``; the others keep every cell, and those with
  pixels inside the image keep some.
"""

from sartorius.postprocess.steps.base import Step, areas_of, drop_unusable, with_crops
from sartorius.postprocess.steps.boxes import BoxNMS, GaussianSoftNMS, LinearSoftNMS
from sartorius.postprocess.steps.overlaps import ContainmentNMS, MaskNMS, RemoveOverlap
from sartorius.postprocess.steps.pixels import (
    BreakAstroMasks,
    DropFragments,
    FillHoles,
    KeepLargestComponent,
    MaskThreshold,
    MaxArea,
    MinArea,
)
from sartorius.postprocess.steps.scores import RescoreByMask, ScoreThreshold, VoteClass

STEPS: dict[str, type[Step]] = {
    step.__name__: step
    for step in (
        VoteClass,
        RescoreByMask,
        LinearSoftNMS,
        GaussianSoftNMS,
        ScoreThreshold,
        BoxNMS,
        MaskThreshold,
        FillHoles,
        BreakAstroMasks,
        MaskNMS,
        ContainmentNMS,
        RemoveOverlap,
        KeepLargestComponent,
        DropFragments,
        MaxArea,
        MinArea,
    )
}
"""Every step by the name that a config calls it, in an order in which they can stand in a chain."""

__all__ = [*STEPS, 'STEPS', 'Step', 'areas_of', 'drop_unusable', 'with_crops']
