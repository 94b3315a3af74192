"""MNIST ListOps: rows read back image by image; the operators against Python's `statistics`."""

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest

from memcore.tasks import Digits, MNISTListOps
from memcore.tasks.images.mnist_list_ops import OPERATORS
from tasks.digit_rows import Reader, images_of, operator

pytestmark = pytest.mark.requires("sklearn")


@pytest.fixture(autouse=True)
def no_folder_from_outside(monkeypatch):
    monkeypatch.delenv("MEMCORE_DATA", raising=False)


def half_up(value):
    return math.floor(value + Fraction(1, 2))


EXPECTED = {
    "min": min,
    "max": max,
    "mean": lambda digits: half_up(Fraction(sum(digits), len(digits))),
    "median": lambda digits: half_up(statistics.median(map(Fraction, digits))),
    "mode": lambda digits: min(statistics.multimode(digits)),
}


@pytest.mark.parametrize("items", [1, 4, 5])
def test_the_target_is_the_operators_value(items):
    split = "validation"
    scans = list(Digits().source(split))
    reader = Reader({split: ([s["xs"][:, 0] for s in scans], [s["targets"][0] for s in scans])})
    task = MNISTListOps(items=items)
    source, seen = task.source(split), set()
    for index in range(100):
        row = source[index]
        sign, *digits = images_of(row, 8)
        name = operator(sign, OPERATORS)
        answer = EXPECTED[name]([reader.digit(image, split) for image in digits])
        assert (row["targets"] == answer).all() and len(digits) == items
        assert row["weights"].nonzero()[0].tolist() == [task.length - 1]
        assert row["starts"].nonzero()[0].tolist() == [0]
        seen.add(name)
    assert seen == set(OPERATORS)


def test_the_numbers_are_the_same_on_every_machine():
    row = MNISTListOps().source("train")[11]
    shades = np.rint(row["xs"][:, 0] * 4080).astype(np.int64)
    assert int((shades * (1 + np.arange(len(shades)))).sum()) == PINNED


PINNED = 91776986


def test_mnist_is_read_from_a_folder(mnist_folder):
    task = MNISTListOps(folder=str(mnist_folder), items=3)
    assert task.source("train")[0]["xs"].shape == (4 * 784, 1) == (task.length, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"items": 0}, "items is 0, expected 1 or more"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MNISTListOps(**options)
