"""The tuner of a post-processing chain: every setting scored, the choice cross-validated over groups."""
