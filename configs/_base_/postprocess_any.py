"""Post-processing of any classes: one number for all, and the classes of an image's cells as the model says them.

Cells of fewer than 30 px are slivers to tools/data/prepare_livecell.py too; tune both numbers by tools/tune.py."""

postprocess = [
    dict(type='ScoreThreshold', threshold=0.35),
    dict(type='MaskThreshold', threshold=0.5),
    dict(type='FillHoles'),
    dict(type='RemoveOverlap', min_remaining=0.7),
    dict(type='MinArea', min_area=30),
]
