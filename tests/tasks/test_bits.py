"""Tasks on bits: what is asked for, by plain Python from what a model reads; their curricula."""

import itertools

import pytest

from memcore.tasks import NDMS, NDMSHeads, NParity, NParityHeads, Parity, curriculum
from tasks.rows import asked, checksum, first_rows


def parity_at(bits, t, n):
    return bits[t - n + 1 : t + 1].count(1) % 2


def match_at(bits, t, n):
    return int(bits[t] == bits[t - (n - 1)])


ANSWERS = {NParity: parity_at, NDMS: match_at, NParityHeads: parity_at, NDMSHeads: match_at}


def test_parity_of_all_bits_so_far():
    for row in first_rows(Parity(length=12)):
        bits = row["xs"].tolist()
        assert set(bits) <= {0, 1}
        assert asked(row) == (list(range(12)), [bits[: t + 1].count(1) % 2 for t in range(12)])


@pytest.mark.parametrize("n", [2, 3, 9])
@pytest.mark.parametrize("task", [NParity, NDMS])
def test_one_n(task, n):
    for row in first_rows(task(length=9, n=n)):
        bits = row["xs"].tolist()
        steps = list(range(n - 1, 9))
        assert asked(row) == (steps, [ANSWERS[task](bits, t, n) for t in steps])


@pytest.mark.parametrize("task", [NParityHeads, NDMSHeads])
def test_many_n(task):
    for row in first_rows(task(length=9, n_min=3, n_max=5)):
        bits = row["xs"].tolist()
        steps, targets = asked(row)
        assert steps == list(range(4, 9))
        for t, target in zip(steps, targets, strict=True):
            assert target == [2 * ANSWERS[task](bits, t, n) - 1 for n in (3, 4, 5)]
        assert (row["targets"][:4] == 0).all()


@pytest.mark.parametrize("task", [NParity, NDMS])
def test_a_curriculum_of_one_n(task):
    series = list(curriculum(task(length=6, seed=3)))
    assert series == [task(length=6, seed=3, n=n) for n in range(2, 7)]


@pytest.mark.parametrize("task", [NParityHeads, NDMSHeads])
def test_a_curriculum_of_many_n(task):
    series = curriculum(task(length=6, n_min=2, n_max=2))
    assert [one.out_features for one in itertools.islice(series, 3)] == [1, 2, 3]
    assert [one.n_max for one in series] == [5, 6]


@pytest.mark.parametrize(
    ("task", "pinned"),
    [
        (Parity(), "2b0100d8bb3b901e"),
        (NParity(n=3), "b5b8b5a85f44c30c"),
        (NDMS(n=3), "d9547ff18a775840"),
        (NParityHeads(), "a00bb4042d5a9140"),
        (NDMSHeads(), "f94e4e0019e478bd"),
    ],
)
def test_the_numbers_are_the_same_on_every_machine(task, pinned):
    assert checksum(task) == pinned


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (Parity, {"length": 0}, "length is 0, expected 1 or more"),
        (NParity, {"n": 1}, "n is 1, expected 2 to 32, the row's length 32"),
        (NDMS, {"n": 9, "length": 8}, "n is 9, expected 2 to 8, the row's length 8"),
        (NDMS, {"length": 1}, "length is 1, expected 2 or more"),
        (NParityHeads, {"n_min": 5}, "n_min is 5, expected 2 to 4, as n_max"),
        (NDMSHeads, {"n_max": 33}, "n_max is 33, expected 2 to 32, the row's length 32"),
    ],
)
def test_options_that_make_no_sense_are_refused(task, options, message):
    with pytest.raises(ValueError, match=message):
        task(**options)
