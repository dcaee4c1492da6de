"""Which pseudo-labels are believed: what tools/data/pseudo_label.py starts from (docs/semi_supervised.md)."""

pseudo_labels = dict(
    # A cell that scores less is unsure and gets no label, though the post-processing kept it. The thresholds of the
    # competition's 11th place, which are stricter than those of postprocess.py.
    cell_scores=dict(shsy5y=0.35, astro=0.45, cort=0.65),
    # What has no label is taught as background: of an image's cells no more than this share may be unsure.
    max_unsure=0.2,
    # Least mean score of all cells that the post-processing kept.
    min_mean_scores=dict(shsy5y=0.5, astro=0.5, cort=0.7),
    # Least share of the image's class in the vote for it, where each cell has the square of its score.
    min_votes=0.9,
    # Least number of sure cells; None: that of the annotated images of the class.
    min_cells=None,
)
