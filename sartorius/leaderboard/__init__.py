"""Leaderboard of recipes: from predictions of validation folds to one page; ablation; model card."""
