"""Fixed splits: of a labelled set, and of what a generator can draw."""

import hashlib
from collections.abc import Callable

import numpy as np

from memcore.tasks.base.task import SPLITS, Split

ATTEMPTS = 1_000


def stratified(labels: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (rest, held out): one of `every` examples is held out, evenly over the classes.

    labels (N,) ints. The examples are put in a fixed random order, then sorted by class; each
    `every`-th is held out. Both results are sorted and together cover 0 to N - 1.
    """
    shuffled = np.random.RandomState(0).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    held = np.zeros(len(labels), bool)
    held[by_class[::every]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def three_way(labels: np.ndarray, test: int, validation: int) -> dict[Split, np.ndarray]:
    """Indices of the three splits: one of `test` for test, one of `validation` of the rest."""
    rest, held = stratified(labels, test)
    train, chosen = stratified(labels[rest], validation)
    return {"train": rest[train], "validation": rest[chosen], "test": held}


def draw_apart(
    draw: Callable[[np.random.RandomState], np.ndarray], seed: int, split: Split, index: int
) -> np.ndarray:
    """Example `index` of a generator's split, in a way that no two splits can share one.

    `draw(random)` gives the numbers that determine an example. A draw belongs to the split that
    its own hash names, and drawing is repeated until it is the one asked for. The result depends
    on nothing but the arguments: NumPy has frozen the streams of PCG64 and of `RandomState`.

    Raises ValueError where `draw` has too few different results for that.
    """
    part = SPLITS.index(split)
    bits = np.random.PCG64(np.random.SeedSequence([seed, part, index]))
    random = np.random.RandomState(bits)
    for _ in range(ATTEMPTS):
        numbers = draw(random)
        digest = hashlib.blake2s(numbers.astype("<i8").tobytes(), digest_size=4).digest()
        if int.from_bytes(digest, "little") % len(SPLITS) == part:
            return numbers
    raise ValueError(
        f"no example for the {split} split in {ATTEMPTS} draws: too few different examples, "
        "expected options that allow more"
    )
