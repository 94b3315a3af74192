"""Digits: real scans, in fixed stratified splits."""

import numpy as np
import pytest

from memcore.tasks import Digits

pytestmark = pytest.mark.requires("sklearn")


def labels(split):
    source = Digits().source(split)
    return np.array([source[index]["targets"][-1] for index in range(len(source))])


def test_sizes_and_proportions():
    counts = {split: np.bincount(labels(split)) for split in ("train", "validation", "test")}
    assert {split: int(count.sum()) for split, count in counts.items()} == {
        "train": 1293,
        "validation": 144,
        "test": 360,
    }
    whole = sum(counts.values())
    for count in counts.values():
        assert (abs(count - whole * count.sum() / 1797) < 1.5).all()


def test_the_splits_are_fixed():
    assert labels("test")[:10].tolist() == TEST_BEGINS


TEST_BEGINS = [9, 2, 5, 7, 6, 9, 7, 3, 3, 3]


def test_a_row_is_a_scan():
    from sklearn.datasets import load_digits

    images = load_digits().images.reshape(-1, 64) / 16
    row = Digits().source("train")[0]
    assert row["xs"].shape == (64, 1)
    assert (images == row["xs"][:, 0]).all(axis=1).any()
    assert row["weights"].nonzero()[0].tolist() == [63]
