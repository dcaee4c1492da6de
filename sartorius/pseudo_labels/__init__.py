"""Pseudo-labels: predictions of unlabelled images become training rows."""
