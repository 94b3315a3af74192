"""The distribution of a sum of signed digits, against counting all cases with integers."""

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from memcore.tasks.images.deciles import TIE, classes, deciles, distribution
from memcore.tasks.images.mnist_math import COUNTS


def cases(terms, plain):
    """How many of the 20^terms cases have each sum, one by one."""
    steps = [
        [sign * d for d in range(10) for sign in (1, 1 if j < plain else -1)] for j in range(terms)
    ]
    return Counter(sum(case) for case in itertools.product(*steps))


def convolved(terms, plain):
    """The same, by convolution: Python's integers are exact at any size."""
    counts = {0: 1}
    for j in range(terms):
        longer = Counter()
        for total, count in counts.items():
            for d in range(10):
                longer[total + d] += count
                longer[total + d if j < plain else total - d] += count
        counts = longer
    return counts


def exact_deciles(counts):
    whole, below, found = sum(counts.values()), 0, []
    for total in sorted(counts):
        below += counts[total]
        while len(found) < 9 and Fraction(below, whole) >= Fraction(len(found) + 1, 10):
            found.append(total)
    return tuple(found)


@pytest.mark.parametrize("plain", [0, 1])
@pytest.mark.parametrize("terms", [1, 2, 3, 4])
def test_a_short_sum_by_brute_force(terms, plain):
    check(cases(terms, plain), terms, plain)


@pytest.mark.parametrize(("terms", "plain"), [(3, 1), (50, 0), (50, 1)])
def test_a_longer_sum_by_integers(terms, plain):
    check(convolved(terms, plain), terms, plain)


def check(counts, terms, plain):
    least, probabilities = distribution(terms, plain)
    assert least <= min(counts) and least + len(probabilities) > max(counts)
    for place, probability in enumerate(probabilities):
        exact = Fraction(counts.get(least + place, 0), 20**terms)
        assert abs(probability - float(exact)) < 1e-15
    assert deciles(terms, plain) == exact_deciles(counts)


@pytest.mark.parametrize("count", COUNTS)
def test_rounding_decides_nothing(count):
    """No probability is so near a tenth, without being it, that another machine could differ."""
    probabilities = distribution((count + 1) // 2, count % 2)[1]
    assert abs(probabilities.sum() - 1) < 1e-12
    distances = abs(np.cumsum(probabilities)[:, None] - np.arange(1, 10) / 10)
    assert not ((TIE / 10 < distances) & (distances < 1e3 * TIE)).any()


@pytest.mark.parametrize(
    ("count", "spread"), [(5, 0.04), (100, 0.006), (1_000, 3e-3), (10_000, 7e-4), (1_000_000, 2e-4)]
)
def test_the_classes_are_about_equally_frequent(count, spread):
    terms, plain = (count + 1) // 2, count % 2
    least, probabilities = distribution(terms, plain)
    sums = least + np.arange(len(probabilities))
    frequencies = np.bincount(classes(sums, terms, plain), weights=probabilities, minlength=10)
    assert abs(frequencies - 0.1).max() < spread


def test_the_moments_of_the_longest_sum():
    """Variance of one signed digit: the mean of d^2, 28.5."""
    least, probabilities = distribution(500_000)
    sums = least + np.arange(len(probabilities))
    assert abs((sums * probabilities).sum()) < 1e-6
    assert abs((sums**2 * probabilities).sum() / (28.5 * 500_000) - 1) < 1e-9


def test_a_class_is_how_many_deciles_lie_below():
    nine = deciles(3, 1)
    for total in range(-20, 30):
        assert classes(np.array([total]), 3, 1) == sum(decile < total for decile in nine)
