"""Samplers and worker start-up of the data loaders: seeded samples, and training that resumes at the exact sample."""

import itertools
import math
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

from sartorius.utils.errors import InputError


@DATASETS.register_module()
class SeededDataset(Dataset):
    """Wraps a data set: item n is sample n of an endless shuffled run, augmented with the randomness of n alone.

    Of a data set that is ``endless`` itself (:class:`sartorius.datasets.synthetic.SyntheticCellDataset`), sample n is
    item n.

    Args:
        dataset: The data set, or its config.
        seed: Seed of order and augmentation; tools/train.py sets it to the run's seed.
        synthetic: Data set, or its config, that the other samples come from; None for all from ``dataset``.
        share: Share of the samples that come from ``dataset``, spread evenly over the run.

    Raises:
        InputError: ``share`` is not above 0 and below 1 with ``synthetic``, or not 1 without; or the two data sets have
            different classes.
    """

    def __init__(
        self,
        dataset: dict[str, Any] | BaseDataset,
        seed: int = 0,
        synthetic: dict[str, Any] | Dataset | None = None,
        share: float = 1.0,
    ) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.synthetic = DATASETS.build(synthetic) if isinstance(synthetic, dict) else synthetic
        self.seed, self.share = seed, share
        if not (share == 1 if synthetic is None else 0 < share < 1):
            raise InputError(f'SeededDataset: share is {share}; it must be 1, or between 0 and 1 with synthetic images')
        if self.synthetic is not None:
            own, other = (tuple(each.metainfo['classes']) for each in (self.dataset, self.synthetic))
            if own != other:
                raise InputError(
                    f'SeededDataset: the images have the classes {", ".join(own)}, the synthetic ones '
                    f'{", ".join(other)}; prepare the images with --merge-classes {other[0]}'
                )
        self._permutations: dict[int, tuple[int, NDArray[np.int64]]] = {}

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
        return self._order(epoch, len(self.dataset))

    def __getitem__(self, sample: int) -> dict[str, Any]:
        # Transforms use the global generators, as MMDetection's do.
        state = np.random.SeedSequence((self.seed, sample)).generate_state(2)
        np.random.seed(state[0])
        random.seed(int(state[1]))
        dataset, index = self.source(sample)
        return dataset[index]

    def source(self, sample: int) -> tuple[Dataset, int]:
        """Data set that a sample comes from, and the index of its image there."""
        dataset, number = self.dataset, sample
        if self.synthetic is not None:
            own = math.floor(sample * self.share)
            if math.floor((sample + 1) * self.share) > own:
                number = own
            else:
                dataset, number = self.synthetic, sample - own
        if getattr(dataset, 'endless', False):
            return dataset, number
        epoch, position = divmod(number, len(dataset))
        return dataset, int(self._order(epoch, len(dataset))[position])

    def _order(self, epoch: int, length: int) -> NDArray[np.int64]:
        if self._permutations.get(length, (-1,))[0] != epoch:
            self._permutations[length] = (epoch, np.random.default_rng((self.seed, epoch)).permutation(length))
        return self._permutations[length][1]


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
