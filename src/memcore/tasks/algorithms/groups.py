"""Words over a group: the state to track is the running product."""

import functools
import itertools
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example

Letters = Literal["elements", "generators"]
Permutation = tuple[int, ...]


@dataclass(frozen=True)
class _Words(Generated):
    """A word over a group of permutations of five things; at every step, its product so far.

    A permutation p, a tuple, sends i to p[i]. Elements are numbered in the order of these tuples,
    so 0 leaves everything in its place. Of a word x_1, x_2, ..., the product after t letters is
    "first x_1, then x_2, ..., then x_t": i goes to x_t[... x_2[x_1[i]] ...].
    """

    asks: ClassVar[str] = "the product of the letters so far"
    even: ClassVar[bool]
    generators: ClassVar[tuple[Permutation, ...]]

    length: int = 16
    """Letters of a word."""
    letters: Letters = "generators"
    """What words are made of: the group's two generators, or all its elements."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 1)

    @property
    def in_features(self) -> int:
        return len(self._letters())

    @property
    def out_features(self) -> int:
        return len(elements(self.even))

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(self.output_names[letter] for letter in self._letters())

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(map(cycles, elements(self.even)))

    def _letters(self) -> np.ndarray:
        """The number of the element that each letter is."""
        if self.letters == "elements":
            return np.arange(self.out_features)
        return np.array([elements(self.even).index(letter) for letter in self.generators])

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(T,) letters."""
        return random.randint(self.in_features, size=self.length, dtype=np.int64)

    def example(self, numbers: np.ndarray) -> Example:
        then = table(self.even)
        letters = self._letters()[numbers].tolist()
        products = list(itertools.accumulate(letters, lambda p, x: int(then[p, x])))
        return episode(numbers, np.array(products), np.ones(self.length))


@register("a5")
@dataclass(frozen=True)
class A5(_Words):
    """Words of A5, the even permutations of five things; at every step, the product so far.

    The 60 elements are numbered in the order of their tuples, where p sends i to p[i]; the letter
    that comes later acts later: i goes to x_t[... x_2[x_1[i]] ...]. The generators are the cycles
    (0 1 2) and (0 1 2 3 4). A5 is the smallest group whose words no fixed-depth circuit of
    threshold gates is thought to follow (arXiv:2404.08819, where the letters are all elements).
    """

    even = True
    generators = ((1, 2, 0, 3, 4), (1, 2, 3, 4, 0))


@register("s5")
@dataclass(frozen=True)
class S5(_Words):
    """Words of S5, all permutations of five things; at every step, the product so far.

    The 120 elements are numbered in the order of their tuples, where p sends i to p[i]; the letter
    that comes later acts later: i goes to x_t[... x_2[x_1[i]] ...]. The generators are the swap
    (0 1) and the cycle (0 1 2 3 4). State tracking of arXiv:2404.08819, where the
    letters are all elements.
    """

    even = False
    generators = ((1, 0, 2, 3, 4), (1, 2, 3, 4, 0))


@functools.cache
def elements(even: bool) -> tuple[Permutation, ...]:
    """The permutations of five things, or the even ones, in the order of their tuples."""
    every = itertools.permutations(range(5))
    return tuple(p for p in every if not even or _inversions(p) % 2 == 0)


@functools.cache
def table(even: bool) -> np.ndarray:
    """[p, q]: the number of "first p, then q", for the numbers of two elements."""
    group = elements(even)
    number = {p: i for i, p in enumerate(group)}
    rows = [[number[tuple(q[p[i]] for i in range(5))] for q in group] for p in group]
    products = np.array(rows)
    products.flags.writeable = False
    return products


def cycles(p: Permutation) -> str:
    """A permutation in the notation of cycles, as (01)(234); e leaves everything in its place."""
    written, left = "", set(range(len(p)))
    while left:
        cycle = [min(left)]
        while p[cycle[-1]] != cycle[0]:
            cycle.append(p[cycle[-1]])
        left -= set(cycle)
        written += f"({''.join(map(str, cycle))})" if len(cycle) > 1 else ""
    return written or "e"


def _inversions(p: Permutation) -> int:
    return sum(a > b for a, b in itertools.combinations(p, 2))
