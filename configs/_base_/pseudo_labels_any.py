"""Rules of tools/data/pseudo_label.py for any classes: one number for all (pseudo_labels.py says what each means)."""

pseudo_labels = dict(
    cell_scores=0.5,
    max_unsure=0.2,
    min_mean_scores=0.5,
    min_votes=0.9,
    min_cells=None,
)
