"""Recall: what is asked for, by plain Python from what a model reads."""

import collections

import pytest

from memcore.tasks import MQAR, InductionHeads, Needle
from tasks.rows import asked, checksum, first_rows


def test_induction_heads():
    places = set()
    for row in first_rows(InductionHeads(length=7, symbols=5), 60):
        xs = row["xs"].tolist()
        assert xs[-1] == 0 and xs.count(0) == 2
        place = xs.index(0)
        assert asked(row) == ([6], [xs[place + 1]])
        places.add(place)
    assert places == set(range(5))


@pytest.mark.parametrize("random_filler", [False, True])
def test_mqar(random_filler):
    task = MQAR(length=24, pairs=3, vocabulary=16, random_filler=random_filler)
    for row in first_rows(task):
        xs = row["xs"].tolist()
        pairs = dict(zip(xs[0:6:2], xs[1:6:2], strict=True))
        assert len(pairs) == len(set(pairs.values())) == 3
        assert all(1 <= key < 8 <= value < 16 for key, value in pairs.items())
        questions = [t for t in range(6, 24) if xs[t] in pairs]
        assert sorted(xs[t] for t in questions) == sorted(pairs)
        assert all(t % 2 == 0 for t in questions)
        assert asked(row) == (questions, [pairs[xs[t]] for t in questions])
        others = [xs[t] for t in range(6, 24) if t not in questions]
        assert (len(set(others)) > 3) if random_filler else (set(others) == {0})


@pytest.mark.parametrize("power", [0.01, 1.0])
def test_the_distances_of_mqar_follow_their_power_law(power):
    """Of one pair, so that the places are drawn from the law itself."""
    task = MQAR(length=12, pairs=1, vocabulary=4096, power=power)
    count = 3000
    places = collections.Counter(asked(row)[0][0] for row in first_rows(task, count))
    weights = {2 + 2 * k: (k + 1) ** (power - 1) for k in range(5)}
    for place, weight in weights.items():
        expected = count * weight / sum(weights.values())
        assert abs(places[place] - expected) < 5 * expected**0.5
    assert set(places) == set(weights)


@pytest.mark.parametrize("needles", [1, 3])
def test_needle(needles):
    task = Needle(length=20, needles=needles, keys=3, values=4, filler=2)
    orders = set()
    for row in first_rows(task, 60):
        xs = row["xs"].tolist()
        *hay, ask, key = xs
        assert ask == 1 and 2 <= key < 5
        found, t, filler = {}, 0, 0
        while t < len(hay):
            if hay[t] == 0:
                found[hay[t + 1]] = hay[t + 2]
                t += 3
            else:
                assert 9 <= hay[t] < 11
                t, filler = t + 1, filler + 1
        assert len(found) == needles and filler == 18 - 3 * needles
        assert set(found) <= {2, 3, 4} and set(found.values()) <= {5, 6, 7, 8}
        assert asked(row) == ([19], [found[key]])
        orders.add(list(found).index(key))
    assert orders == set(range(needles))


@pytest.mark.parametrize(("depth", "place"), [(0.0, 0), (0.5, 8), (1.0, 15)])
def test_the_depth_of_the_needle(depth, place):
    for row in first_rows(Needle(length=20, depth=depth), 10):
        assert row["xs"].tolist().index(0) == place


def test_the_depth_is_that_of_the_needle_asked_for():
    for row in first_rows(Needle(length=20, needles=3, depth=1.0), 10):
        assert row["xs"][15] == 0 and row["xs"][16] == row["xs"][19]


@pytest.mark.parametrize(
    ("task", "pinned"),
    [
        (InductionHeads(), "de077a1d066b3168"),
        (MQAR(), "4783c061c710b428"),
        (MQAR(random_filler=True), "43f17c68cf8e0be8"),
        (Needle(), "cd4fd4ddfd5859dd"),
        (Needle(needles=3), "5ef0612af015113c"),
    ],
)
def test_the_numbers_are_the_same_on_every_machine(task, pinned):
    assert checksum(task) == pinned


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (InductionHeads, {"length": 2}, "length is 2, expected 3 or more"),
        (InductionHeads, {"symbols": 1}, "symbols is 1, expected 2 or more"),
        (MQAR, {"pairs": 9}, "pairs is 9, expected 1 to 8, a quarter of the row's length 32"),
        (MQAR, {"pairs": 0}, "pairs is 0, expected 1 to 8"),
        (MQAR, {"vocabulary": 9}, "vocabulary is 9, expected 10 or more"),
        (MQAR, {"power": 0.0}, "power is 0.0, expected more than 0, to 1"),
        (MQAR, {"power": 1.5}, "power is 1.5, expected more than 0, to 1"),
        (Needle, {"needles": 5}, "needles is 5, expected 1 to 4, the number of keys"),
        (Needle, {"length": 7, "needles": 2}, "length is 7, expected 8 or more"),
        (Needle, {"depth": 1.5}, "depth is 1.5, expected 0 to 1, relative to the filler"),
        (Needle, {"values": 1}, "values is 1, expected 2 or more"),
        (Needle, {"filler": 0}, "filler is 0, expected 1 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(task, options, message):
    with pytest.raises(ValueError, match=message):
        task(**options)
