"""Post-processing of LIVECell's eight lines: one number for all, as postprocess.py has numbers for the competition's
types alone. Cells of fewer than 30 px are slivers to tools/data/prepare_livecell.py too."""

postprocess = [
    dict(type='VoteClass'),
    dict(type='ScoreThreshold', threshold=0.35),
    dict(type='MaskThreshold', threshold=0.5),
    dict(type='FillHoles'),
    dict(type='RemoveOverlap', min_remaining=0.7),
    dict(type='MinArea', min_area=30),
]
