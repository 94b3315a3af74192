"""Write down what was read: at once, after a pause, or only what matters.

Tokens: 0 is blank, 1 the marker that asks for the copy, and the symbols are the tokens from 2 on.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least, within
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example

BLANK, MARKER, FIRST = 0, 1, 2
"""The tokens that are no symbols, and the first that is one."""


@dataclass(frozen=True)
class _Symbols(Generated):
    """The vocabulary that copying tasks share; answers are tokens too."""

    asks: ClassVar[str] = "the symbols, in their order"

    items: int = 8
    """How many symbols to copy."""
    symbols: int = 8
    """How many different symbols there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("items", self.items, 1)
        at_least("symbols", self.symbols, 2)

    @property
    def in_features(self) -> int:
        return FIRST + self.symbols

    @property
    def out_features(self) -> int:
        return self.in_features

    @property
    def input_names(self) -> tuple[str, ...]:
        return ("·", "?", *map(str, range(FIRST, self.in_features)))

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.input_names

    def _draw_items(self, random: np.random.RandomState) -> np.ndarray:
        return FIRST + random.randint(self.symbols, size=self.items, dtype=np.int64)


@register("copy")
@dataclass(frozen=True)
class Copy(_Symbols):
    """`items` random symbols, a marker, then as many blanks: name the symbols in their order.

    A row has 2 * items + 1 steps; the last `items` count. Rather short: `delayed_copy` is the
    same with a pause, which is what makes it a test of memory.
    """

    @property
    def length(self) -> int:
        return 2 * self.items + 1

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(items,) tokens."""
        return self._draw_items(random)

    def example(self, numbers: np.ndarray) -> Example:
        xs = np.full(self.length, BLANK)
        xs[: self.items] = numbers
        xs[-self.items - 1] = MARKER
        return _asked_at_the_end(xs, numbers)


@register("delayed_copy")
@dataclass(frozen=True)
class DelayedCopy(Copy):
    """Copy with a pause: `items` symbols, `delay` blanks, a marker, then as many blanks as items.

    The copying memory problem of Hochreiter and Schmidhuber (1997) in the form of
    arXiv:1511.06464, whose delay T is `delay` + 1 here. A row has 2 * items + delay + 1 steps;
    the last `items` count.
    """

    delay: int = 16
    """Blanks between the symbols and the marker."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("delay", self.delay, 0)

    @property
    def length(self) -> int:
        return 2 * self.items + self.delay + 1


@register("selective_copy")
@dataclass(frozen=True)
class SelectiveCopy(_Symbols):
    """Symbols at random places among blanks, then markers: name the symbols in their order.

    The first `context` steps hold `items` symbols and blanks; at each of the `items` markers
    after them the next symbol is asked for. The selective copying task of Mamba
    (arXiv:2312.00752, section 4.1.1; there a context of 4,096 with 16 items).
    """

    items: int = 4
    """How many symbols to copy."""
    context: int = 24
    """Steps among which the symbols are strewn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        within("items", self.items, 1, self.context, f"the context of {self.context} steps")

    @property
    def length(self) -> int:
        return self.context + self.items

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(context,) tokens."""
        tokens = np.full(self.context, BLANK, np.int64)
        places = np.sort(random.permutation(self.context)[: self.items])
        tokens[places] = self._draw_items(random)
        return tokens

    def example(self, numbers: np.ndarray) -> Example:
        xs = np.concatenate([numbers, np.full(self.items, MARKER)])
        return _asked_at_the_end(xs, numbers[numbers != BLANK])


def _asked_at_the_end(xs: np.ndarray, answers: np.ndarray) -> Example:
    """A row whose last steps ask for `answers`."""
    targets, weights = np.full(len(xs), BLANK), np.zeros(len(xs))
    targets[-len(answers) :] = answers
    weights[-len(answers) :] = 1
    return episode(xs, targets, weights)
