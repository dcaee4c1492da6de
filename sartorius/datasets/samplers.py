"""Samplers and worker start-up of the data loaders: seeded samples, and training that resumes at the exact sample."""

import itertools
import random
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmdet.registry import DATA_SAMPLERS, DATASETS
from mmengine.dataset import BaseDataset
from mmengine.dist import get_dist_info
from mmengine.registry import FUNCTIONS
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler


@DATASETS.register_module()
class SeededDataset(Dataset):
    """Wraps a data set: item n is sample n of an endless shuffled run, augmented with the randomness of n alone.

    Args:
        dataset: The data set, or its config.
        seed: Seed of order and augmentation; tools/train.py sets it to the run's seed.
    """

    def __init__(self, dataset: dict[str, Any] | BaseDataset, seed: int = 0) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.seed = seed
        self._permutation = (-1, np.zeros(0, dtype=np.int64))

    @property
    def metainfo(self) -> dict[str, Any]:
        """Meta information of the wrapped data set."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Loads the wrapped data set's annotations."""
        self.dataset.full_init()

    def __len__(self) -> int:
        """Number of images in one pass."""
        return len(self.dataset)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Image of each sample of one pass: ``(len(self),)`` indices into the wrapped data set."""
        if self._permutation[0] != epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.dataset))
            self._permutation = (epoch, order)
        return self._permutation[1]

    def __getitem__(self, sample: int) -> dict[str, Any]:
        epoch, position = divmod(sample, len(self.dataset))
        # Transforms use the global generators, as MMDetection's do.
        state = np.random.SeedSequence((self.seed, sample)).generate_state(2)
        np.random.seed(state[0])
        random.seed(int(state[1]))
        return self.dataset[int(self.order(epoch)[position])]


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler):
    """Endless sample numbers for :class:`SeededDataset`: every ``world_size``-th, from the process's rank on.

    Args:
        dataset: The :class:`SeededDataset` that it serves.
        seed: Ignored, since the data set decides the order; MMEngine passes it to every sampler.
    """

    def __init__(self, dataset: SeededDataset, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self.start = 0

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.rank + self.start * self.world_size, self.world_size)

    def __len__(self) -> int:
        """Number of images in one pass."""
        return self.size

    def skip(self, num_samples: int) -> None:
        """Starts after this many samples of this process; MMEngine calls it on resume."""
        self.start = num_samples

    def set_epoch(self, epoch: int) -> None:
        """Does nothing: the run has no epochs. MMEngine calls it on every sampler."""


@FUNCTIONS.register_module()
def leave_interrupts_to_the_main_process(worker_id: int) -> None:
    """Keeps Ctrl-C from printing a traceback per worker; the main process ends them.

    Seeding is not needed here: :class:`sartorius.datasets.samplers.SeededDataset` seeds every sample.

    Args:
        worker_id: Number of the worker; torch passes it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
