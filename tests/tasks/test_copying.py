"""Copying: what is asked for, by plain Python from what a model reads."""

import pytest

from memcore.tasks import Copy, DelayedCopy, RepeatPrevious, SelectiveCopy
from tasks.rows import asked, checksum, first_rows


@pytest.mark.parametrize("back", [0, 1, 3])
def test_repeat_previous(back):
    for row in first_rows(RepeatPrevious(length=9, back=back, symbols=5)):
        xs = row["xs"].tolist()
        assert asked(row) == (list(range(back, 9)), [xs[t - back] for t in range(back, 9)])
        assert set(xs) <= set(range(5))


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_copy_after_a_pause(delay):
    task = DelayedCopy(items=3, symbols=4, delay=delay)
    assert task.length == 7 + delay and task.in_features == task.out_features == 6
    for row in first_rows(task):
        xs = row["xs"].tolist()
        assert xs[3:] == [0] * delay + [1, 0, 0, 0]
        assert all(2 <= token < 6 for token in xs[:3])
        steps, answers = asked(row)
        assert steps == list(range(task.length - 3, task.length))
        assert answers == xs[:3]


def test_copy_is_delayed_copy_without_a_delay():
    one, other = Copy(items=5).source("test")[3], DelayedCopy(items=5, delay=0).source("test")[3]
    assert one["xs"].tolist() == other["xs"].tolist()
    assert one["targets"].tolist() == other["targets"].tolist()


def test_selective_copy():
    places = set()
    for row in first_rows(SelectiveCopy(items=3, context=8, symbols=4)):
        xs = row["xs"].tolist()
        assert xs[8:] == [1, 1, 1] and xs[:8].count(0) == 5
        steps, answers = asked(row)
        assert steps == [8, 9, 10]
        assert answers == [token for token in xs[:8] if token > 1]
        places |= {place for place, token in enumerate(xs[:8]) if token}
    assert places == set(range(8))


@pytest.mark.parametrize(
    ("task", "pinned"),
    [
        (RepeatPrevious(), "11c48f19e8e72e8b"),
        (Copy(), "2204f6322cb299c2"),
        (DelayedCopy(), "4540280fab93e34e"),
        (SelectiveCopy(), "efd990103587ceb7"),
    ],
)
def test_the_numbers_are_the_same_on_every_machine(task, pinned):
    assert checksum(task) == pinned


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (RepeatPrevious, {"back": 32}, "back is 32, expected 0 to 31, below the row's length 32"),
        (RepeatPrevious, {"back": -1}, "back is -1, expected 0 to 31"),
        (RepeatPrevious, {"symbols": 1}, "symbols is 1, expected 2 or more"),
        (RepeatPrevious, {"length": 0}, "length is 0, expected 1 or more"),
        (RepeatPrevious, {"seed": -1}, "seed is -1, expected 0 or more"),
        (Copy, {"items": 0}, "items is 0, expected 1 or more"),
        (Copy, {"symbols": 1}, "symbols is 1, expected 2 or more"),
        (DelayedCopy, {"delay": -1}, "delay is -1, expected 0 or more"),
        (SelectiveCopy, {"items": 9, "context": 8}, "items is 9, expected 1 to 8, the context of"),
    ],
)
def test_options_that_make_no_sense_are_refused(task, options, message):
    with pytest.raises(ValueError, match=message):
        task(**options)


def test_too_few_different_examples_for_three_splits():
    task = Copy(items=1, symbols=2)
    with pytest.raises(ValueError, match="too few different examples"):
        for split in ("train", "validation", "test"):
            task.source(split)[0]
