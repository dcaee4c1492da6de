"""What recipes are worth: from predictions of validation folds to one page, and the card of a model."""
