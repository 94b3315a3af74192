"""Recall by association: what came after this, the last time?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least, within
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example

SPECIAL = 0
BLANK = 0


@register("induction_heads")
@dataclass(frozen=True)
class InductionHeads(Generated):
    """Random symbols, a special token among them and again at the end: what came after it?

    Token 0 is special, the symbols are the tokens from 1 on, and so is the answer, asked for at
    the last step. After Mamba (arXiv:2312.00752, section 4.1.2; there 16 symbols and 256 steps),
    which tests on longer rows than it trains on.
    """

    asks: ClassVar[str] = "what came after the first *"

    length: int = 32
    """Steps of a row."""
    symbols: int = 16
    """How many ordinary symbols there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 3)
        at_least("symbols", self.symbols, 2)

    @property
    def in_features(self) -> int:
        return 1 + self.symbols

    @property
    def out_features(self) -> int:
        return self.in_features

    @property
    def input_names(self) -> tuple[str, ...]:
        return ("*", *map(str, range(1, self.in_features)))

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.input_names

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(T,) tokens."""
        tokens = 1 + random.randint(self.symbols, size=self.length, dtype=np.int64)
        tokens[random.randint(self.length - 2, dtype=np.int64)] = SPECIAL
        tokens[-1] = SPECIAL
        return tokens

    def example(self, numbers: np.ndarray) -> Example:
        targets, weights = np.zeros(self.length, np.int64), np.zeros(self.length)
        targets[-1] = numbers[np.argmax(numbers == SPECIAL) + 1]
        weights[-1] = 1
        return episode(numbers, targets, weights)


@register("mqar")
@dataclass(frozen=True)
class MQAR(Generated):
    """Multi-query associative recall: pairs of key and value, then keys: name their values.

    Token 0 is blank, keys are the tokens from 1 to below vocabulary // 2, values those from there
    on. A row begins with `pairs` pairs, no key and no value twice. Each key comes once more, at
    an even distance from the pairs: the k-th such place is drawn with weight k ** (power - 1), so
    that most questions come soon. Only these steps count. The construction of zoology
    (arXiv:2312.04927), there with 8,192 tokens; what stands between the questions differs where
    `random_filler` is set: never a key of the row, so that every key asks.
    """

    asks: ClassVar[str] = "the value that came with the key"

    length: int = 32
    """Steps of a row."""
    pairs: int = 4
    """Pairs of key and value; as many questions."""
    vocabulary: int = 32
    """How many tokens there are."""
    power: float = 0.01
    """Exponent of the distances' power law; 1 is uniform."""
    random_filler: bool = False
    """Put random values and other keys between the questions instead of blanks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        most, why = self.length // 4, f"a quarter of the row's length {self.length}"
        within("pairs", self.pairs, 1, most, why)
        at_least("vocabulary", self.vocabulary, 2 * self.pairs + 2)
        if not 0 < self.power <= 1:
            raise ValueError(f"power is {self.power}, expected more than 0, to 1")

    @property
    def in_features(self) -> int:
        return self.vocabulary

    @property
    def out_features(self) -> int:
        return self.vocabulary

    @property
    def input_names(self) -> tuple[str, ...]:
        first = self.vocabulary // 2
        keys, values = range(1, first), range(first, self.vocabulary)
        return ("·", *(f"k{key}" for key in keys), *(f"v{value}" for value in values))

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.input_names

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(T,) tokens."""
        first = self.vocabulary // 2
        keys = 1 + random.permutation(first - 1)
        values = first + random.permutation(self.vocabulary - first)
        tokens = np.full(self.length, BLANK, np.int64)
        if self.random_filler:
            others = np.concatenate([keys[self.pairs :], values])
            tokens = others[random.randint(len(others), size=self.length, dtype=np.int64)]
        front = 2 * self.pairs
        tokens[0:front:2] = keys[: self.pairs]
        tokens[1:front:2] = values[: self.pairs]
        tokens[front + 2 * self._places(random)] = keys[: self.pairs]
        return tokens

    def _places(self, random: np.random.RandomState) -> np.ndarray:
        """`pairs` different places, one after another, by the power law in integers.

        Whole numbers, because the last bit of a power differs from machine to machine.
        """
        count = (self.length - 2 * self.pairs) // 2
        powers = np.arange(1, count + 1) ** (self.power - 1.0)
        weights = np.rint(powers / powers.max() * 2**30).astype(np.int64) + 1
        places = []
        for _ in range(self.pairs):
            sums = np.cumsum(weights)
            drawn = random.randint(sums[-1], dtype=np.int64)
            places.append(np.searchsorted(sums, drawn, side="right"))
            weights[places[-1]] = 0
        return np.array(places)

    def example(self, numbers: np.ndarray) -> Example:
        front = 2 * self.pairs
        value = np.zeros(self.vocabulary, np.int64)
        value[numbers[0:front:2]] = numbers[1:front:2]
        targets = value[numbers]
        targets[:front] = 0
        return episode(numbers, targets, targets != 0)
