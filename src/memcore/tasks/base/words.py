"""Random numbers with random access: the same word at the same place, whatever was read before."""

import numpy as np

from memcore.tasks.base.task import SPLITS, Split


def words(seed: int, split: Split, index: int, stream: int, first: int, count: int) -> np.ndarray:
    """Words `first` to `first + count - 1` of a stream of example `index`: (count,) uint64.

    Each example has independent streams, numbered from 0. PCG64 jumps to `first` without drawing
    what lies before; NumPy has frozen its numbers.
    """
    seeds = np.random.SeedSequence([seed, SPLITS.index(split), index, stream])
    return np.random.PCG64(seeds).advance(first).random_raw(count)
