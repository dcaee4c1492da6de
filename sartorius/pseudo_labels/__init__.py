"""Predictions of unlabelled images become training rows."""
