"""Uncertainty of a mean over images: bootstrap interval and standard error over groups of near-duplicate images."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000


class Estimate(NamedTuple):
    """A mean over images and its confidence interval.

    Attributes:
        mean: Of the images at hand.
        low: Lower end of the interval.
        high: Upper end.
    """

    mean: float
    low: float
    high: float


def groups_of_images(image_ids: Iterable[str], groups: Mapping[str, str]) -> NDArray[np.str_]:
    """Group of each image, ``(N,)``; an image that ``groups`` does not have is a group of its own."""
    return np.array([groups.get(image_id, image_id) for image_id in image_ids], dtype=str)


def estimate(values: NDArray[np.float64], groups: NDArray[np.str_], seed: int = 0) -> Estimate:
    """Mean over images and its bootstrap interval over groups.

    Each resample draws as many groups as there are, with replacement, each with all of its images, and takes the mean
    over the drawn images; the interval holds 95 % of the means of 2,000 resamples (percentile bootstrap; for groups:
    Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). With fewer than about ten groups
    it is too narrow; with one, both ends are the mean.

    Args:
        values: ``(N,)``, one per image, at least one.
        groups: ``(N,)``: group of each image (:func:`groups_of_images`).
        seed: Of the resamples; they depend on the sorted names of the groups and not on the order of the images.
    """
    sums, sizes = _by_group(values, groups)
    draws = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(np.mean(values)), float(low), float(high))


def standard_error(values: NDArray[np.float64], groups: NDArray[np.str_]) -> float:
    """Standard error of the mean over images when whole groups are drawn; NaN for a single group.

    The sandwich estimate of a mean over clusters, with the factor G / (G - 1) for G groups (Cameron and Miller, A
    Practitioner's Guide to Cluster-Robust Inference, 2015, section II).
    """
    sums, sizes = _by_group(values, groups)
    if len(sums) < 2:
        return float('nan')
    deviations = sums - sizes * np.mean(values)
    return float(np.sqrt(np.square(deviations).sum() * len(sums) / (len(sums) - 1)) / len(values))


def _by_group(values: NDArray[np.float64], groups: NDArray[np.str_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of values of each group, in the order of their names."""
    members = np.unique(groups, return_inverse=True)[1]
    return np.bincount(members, weights=values), np.bincount(members).astype(np.float64)
