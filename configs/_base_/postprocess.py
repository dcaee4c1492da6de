"""Post-processing before any tuning: the Detectron2 baseline's thresholds and minimum areas, and the 8th place's rule
on overlaps (docs/postprocess.md)."""

postprocess = [
    dict(type='VoteClass'),
    dict(type='ScoreThreshold', threshold=dict(shsy5y=0.15, astro=0.35, cort=0.55)),
    dict(type='MaskThreshold', threshold=0.5),
    dict(type='FillHoles'),
    # The rest of a cell that was predicted twice is a rim, never a cell: this alone took small models from .22 to .27.
    dict(type='RemoveOverlap', min_remaining=0.7),
    dict(type='MinArea', min_area=dict(shsy5y=75, astro=150, cort=75)),
]
