"""Post-processing before any tuning: the Detectron2 baseline's thresholds and least areas, and the 8th place's rule on
overlaps (docs/postprocess.md)."""

postprocess = [
    dict(type='VoteClass'),
    dict(type='ScoreThreshold', threshold=dict(shsy5y=0.15, astro=0.35, cort=0.55)),
    dict(type='MaskThreshold', threshold=0.5),
    dict(type='FillHoles'),
    # What is left of a cell found twice is a rim, never a cell: this alone took small models from .22 to .27.
    dict(type='RemoveOverlap', min_remaining=0.7),
    dict(type='MinArea', min_area=dict(shsy5y=75, astro=150, cort=75)),
]
