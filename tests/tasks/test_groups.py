"""Words of A5 and S5: the products, by multiplying permutation matrices."""

import itertools

import numpy as np
import pytest

from memcore.tasks import A5, S5
from memcore.tasks.algorithms.groups import elements
from tasks.rows import asked, checksum, first_rows


def matrix(p):
    """Moves what stands at i to p[i]."""
    moved = np.zeros((5, 5))
    for i, to in enumerate(p):
        moved[to, i] = 1.0
    return moved


GROUPS = {
    A5: [p for p in itertools.permutations(range(5)) if np.linalg.det(matrix(p)) > 0],
    S5: list(itertools.permutations(range(5))),
}


@pytest.mark.parametrize("letters", ["elements", "generators"])
@pytest.mark.parametrize("task", [A5, S5])
def test_products_of_words(task, letters):
    group = GROUPS[task]
    alphabet = group if letters == "elements" else task.generators
    word = task(length=10, letters=letters)
    assert word.in_features == len(alphabet) and word.out_features == len(group)
    for row in first_rows(word):
        product, answers = np.eye(5), []
        for letter in row["xs"]:
            product = matrix(alphabet[letter]) @ product
            same = [number for number, p in enumerate(group) if (matrix(p) == product).all()]
            answers += same
        assert asked(row) == (list(range(10)), answers)


@pytest.mark.parametrize(("task", "count"), [(A5, 60), (S5, 120)])
def test_the_generators_generate_the_group(task, count):
    reached, new = {tuple(range(5))}, {tuple(range(5))}
    while new:
        products = {tuple(g[p[i]] for i in range(5)) for p in new for g in task.generators}
        new = products - reached
        reached |= new
    assert len(reached) == count
    assert sorted(reached) == list(elements(task.even))


def test_the_order_of_composition():
    """First the swap of 0 and 1, then the cycle 0 -> 1 -> 2 -> 3 -> 4 -> 0."""
    swap, cycle = S5.generators
    first, then = (elements(False).index(p) for p in (swap, cycle))
    products = S5(length=2, letters="elements").example(np.array([first, then]))["targets"]
    assert elements(False)[products[1]] == (2, 1, 3, 4, 0)


@pytest.mark.parametrize(
    ("task", "pinned"),
    [
        (A5(), "c4393e340fd89128"),
        (S5(), "26cc7d1ff42d707a"),
        (A5(letters="elements"), "2b5296c0b72db518"),
    ],
)
def test_the_numbers_are_the_same_on_every_machine(task, pinned):
    assert checksum(task) == pinned


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length is 0, expected 1 or more"),
        ({"letters": "all"}, "letters is 'all', expected one of elements, generators"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        A5(**options)
