"""The exact distribution of a sum of signed digits, and its deciles."""

import functools

import numpy as np

TIE = 1e-12
"""A probability this close to a tenth is that tenth: beyond rounding, below any true difference."""


def distribution(terms: int, plain: int = 0) -> tuple[int, np.ndarray]:
    """The distribution of a sum of `terms` digits, each added or subtracted with equal chance.

    The first `plain` terms are always added. Digits 0 to 9 are equally likely; all draws are
    independent. Returns `least` and p (n,) float64: the sum is least + k with probability p[k].

    This is the `terms`-fold convolution of the steps' distributions, by their characteristic
    functions on a grid of n frequencies, fine enough that what lies outside the n sums has
    probability below 1e-30. The errors are those of rounding, some 1e-16; there is no sampling.
    """
    size, middle = _window(terms, plain)
    angle = 2 * np.pi * np.arange(size // 2 + 1) / size
    digits = np.arange(10)
    # 1 - E[cos(step * angle)], without cancellation: a million steps raise it to that power.
    loss = np.mean(2 * np.sin(angle[:, None] * digits / 2) ** 2, axis=1)
    log = (terms - plain) * np.log1p(-np.minimum(loss, 0.5))
    signed = np.where(loss < 0.5, np.exp(log), (1 - loss) ** (terms - plain))
    added = np.mean(np.exp(-1j * angle[:, None] * digits), axis=1) ** plain
    least = middle - size // 2
    modulo_size = np.fft.irfft(signed * added, size)
    return least, np.maximum(np.roll(modulo_size, -least), 0)


@functools.cache
def deciles(terms: int, plain: int = 0) -> tuple[int, ...]:
    """The nine deciles of `distribution`: the least sums s with P(S <= s) >= 0.1, ..., 0.9."""
    least, probabilities = distribution(terms, plain)
    tenths = np.arange(1, 10) / 10
    places = np.searchsorted(np.cumsum(probabilities), tenths - TIE)
    return tuple(least + int(place) for place in places)


def classes(sums: np.ndarray, terms: int, plain: int = 0) -> np.ndarray:
    """The class 0 to 9 of each sum: how many of the nine deciles lie below it. int64."""
    return np.searchsorted(np.array(deciles(terms, plain)), sums, side="left")


def _window(terms: int, plain: int) -> tuple[int, int]:
    """How many sums to tell apart, a power of two, and the middle one of them."""
    middle = plain * 9 // 2
    support = 2 * 9 * terms + 1
    # Hoeffding: P(|S - E S| > x) <= 2 exp(-x^2 / (2 * 81 * terms)), below 1e-30 from here on.
    likely = 2 * int(np.ceil(np.sqrt(2 * 81 * terms * np.log(2e30)))) + 1
    needed = min(support, likely) + 9 * plain
    return 1 << int(needed).bit_length(), middle
