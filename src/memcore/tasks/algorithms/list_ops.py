"""ListOps: nested operations on short lists of digits.

Tokens: 0 to 9 are the digits, then [MIN, [MAX, [MED, [SM (the sum modulo 10), ] and padding.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example

MIN, MAX, MED, SUM_MOD, END, PAD = range(10, 16)
NESTED = 4
"""One argument of so many is an expression."""


@register("list_ops")
@dataclass(frozen=True)
class ListOps(Generated):
    """An expression such as [MAX 2 9 [MIN 4 7 ] 0 ]: at the last step, what it comes to.

    The median of an even number of digits is the mean of the middle two, rounded down. Padding
    stands in front, so that the last step is the last bracket. Expressions are drawn as in
    arXiv:1804.06028 (each argument is an expression with probability 1/4) and drawn anew where
    they are longer than the row; that code's round parentheses are left out.
    """

    asks: ClassVar[str] = "what the expression comes to"
    in_features: ClassVar[int] = 16
    out_features: ClassVar[int] = 10

    length: int = 32
    """Steps of a row."""
    depth: int = 3
    """How deep operations may be nested; 1 is not nested."""
    arguments: int = 4
    """Most arguments of an operation; the fewest are 2."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 4)
        at_least("depth", self.depth, 1)
        at_least("arguments", self.arguments, 2)

    @property
    def input_names(self) -> tuple[str, ...]:
        return (*map(str, range(10)), "[MIN", "[MAX", "[MED", "[SM", "]", "·")

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(T,) tokens."""
        tokens = self._expression(random, self.depth)
        while len(tokens) > self.length:
            tokens = self._expression(random, self.depth)
        return np.array([PAD] * (self.length - len(tokens)) + tokens, np.int64)

    def _expression(self, random: np.random.RandomState, depth: int) -> list[int]:
        tokens = [MIN + _below(random, 4)]
        for _ in range(2 + _below(random, self.arguments - 1)):
            if depth > 1 and _below(random, NESTED) == 0:
                tokens += self._expression(random, depth - 1)
            else:
                tokens.append(_below(random, 10))
        return [*tokens, END]

    def example(self, numbers: np.ndarray) -> Example:
        targets, weights = np.zeros(self.length, np.int64), np.zeros(self.length)
        targets[-1] = evaluate(numbers.tolist())
        weights[-1] = 1
        return episode(numbers, targets, weights)


def _below(random: np.random.RandomState, count: int) -> int:
    return int(random.randint(count, dtype=np.int64))


def evaluate(tokens: list[int]) -> int:
    """What an expression, with or without padding, comes to."""
    stack: list[list[int]] = [[]]
    for token in tokens:
        if token == PAD:
            continue
        if token == END:
            operation, *arguments = stack.pop()
            stack[-1].append(_apply(operation, arguments))
        elif token >= MIN:
            stack.append([token])
        else:
            stack[-1].append(token)
    return stack[0][0]


def _apply(operation: int, arguments: list[int]) -> int:
    if operation == MIN:
        return min(arguments)
    if operation == MAX:
        return max(arguments)
    if operation == SUM_MOD:
        return sum(arguments) % 10
    middle = sorted(arguments)[(len(arguments) - 1) // 2 : len(arguments) // 2 + 1]
    return sum(middle) // len(middle)
