"""Modular arithmetic."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example


@register("modular_arithmetic")
@dataclass(frozen=True)
class ModularArithmetic(Generated):
    """Numbers and operators by turns; after each number, what it comes to modulo `modulus`.

    Tokens below `modulus` are numbers, then come the operators in the order of `operators`.
    Multiplication goes before addition and subtraction: 1 + 2 * 3 is 2 modulo 5. A row of `terms`
    numbers has 2 * terms - 1 steps; those of numbers count. Modular arithmetic without brackets
    of arXiv:2207.02098, where only the last step counts.
    """

    asks: ClassVar[str] = "what the expression comes to up to here, modulo the modulus"

    terms: int = 8
    """Numbers in a row."""
    modulus: int = 5
    """Numbers are below it."""
    operators: str = "+-*"
    """Which operators there are: some of +, - and *."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("terms", self.terms, 1)
        at_least("modulus", self.modulus, 2)
        known, given = set("+-*"), set(self.operators)
        if not given or not given <= known or len(given) < len(self.operators):
            raise ValueError(f"operators is {self.operators!r}, expected some of '+-*', each once")

    @property
    def length(self) -> int:
        return 2 * self.terms - 1

    @property
    def in_features(self) -> int:
        return self.modulus + len(self.operators)

    @property
    def out_features(self) -> int:
        return self.modulus

    @property
    def input_names(self) -> tuple[str, ...]:
        return (*map(str, range(self.modulus)), *self.operators)

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(T,) tokens."""
        tokens = random.randint(self.modulus, size=self.length, dtype=np.int64)
        kinds = random.randint(len(self.operators), size=self.terms - 1, dtype=np.int64)
        tokens[1::2] = self.modulus + kinds
        return tokens

    def example(self, numbers: np.ndarray) -> Example:
        targets = np.zeros(self.length, np.int64)
        targets[::2] = self._values(numbers)
        return episode(numbers, targets, np.arange(self.length) % 2 == 0)

    def _values(self, tokens: np.ndarray) -> list[int]:
        """What the expression up to each number comes to: `total` + `product`."""
        total, product = 0, int(tokens[0])
        values = [product]
        for kind, token in zip(tokens[1::2].tolist(), tokens[2::2].tolist(), strict=True):
            operator = self.operators[kind - self.modulus]
            if operator == "*":
                product = product * token % self.modulus
            else:
                total = (total + product) % self.modulus
                product = token if operator == "+" else -token
            values.append((total + product) % self.modulus)
        return values
