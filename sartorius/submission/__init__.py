"""The competition's submission CSV: its format, its checks, writing and scoring it."""

from sartorius.submission.score import score_submission

__all__ = ['score_submission']
