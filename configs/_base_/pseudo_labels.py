"""Default rules of tools/data/pseudo_label.py: which predictions become labels (docs/semi_supervised.md)."""

pseudo_labels = dict(
    # Min score of a confident cell; others get no label, though the post-processing kept them. The thresholds of the
    # competition's 11th place, which are stricter than those of postprocess.py.
    cell_scores=dict(shsy5y=0.35, astro=0.45, cort=0.65),
    # Max share of unconfident cells of an image: cells without a label are trained as background.
    max_unsure=0.2,
    # Min mean score of all cells that the post-processing kept.
    min_mean_scores=dict(shsy5y=0.5, astro=0.5, cort=0.7),
    # Min share of the image's class in the vote for it, in which each cell counts with the square of its score.
    min_votes=0.9,
    # Min number of confident cells; None: that of the annotated images of the class.
    min_cells=None,
)
