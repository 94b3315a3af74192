"""MNIST ListOps: an operator and a list of digits, given as images, pixel by pixel."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example, Split, check_index
from memcore.tasks.base.words import words
from memcore.tasks.images.glyphs import glyph, noisy
from memcore.tasks.images.image_sets import DigitImages, Pool

SIZES: dict[Split, int] = {"train": 65_536, "validation": 1_024, "test": 1_024}

OPERATORS = ("min", "max", "mean", "median", "mode")


@register("mnist_list_ops")
@dataclass(frozen=True)
class MNISTListOps(DigitImages):
    """An image of an operator, then `items` of digits, of MNIST or 8x8: name the operator's value.

    - `min`, `max`: the least, the greatest digit
    - `mean`: rounded to the nearest integer, a half upwards
    - `median`: the middle digit; of an even number of digits the mean of the two in the middle,
      rounded as `mean`
    - `mode`: the most frequent digit; of several the least

    Operators and digits are equally likely, an image of the digit is drawn from those of the
    split, and every image of an operator has noise of its own. An image has 784 steps, or 64 (see
    `DigitImages`). The value is asked for at the row's last step.

    After memax's MNIST ListOps, which puts one of the operators between every two digits and
    applies it to the running result and the next digit; here it is applied to the whole list.
    """

    asks: ClassVar[str] = "the operator applied to the digits after it"
    tokens: ClassVar[bool] = False
    in_features: ClassVar[int] = 1
    out_features: ClassVar[int] = 10

    items: int = 5
    """Digits in the list."""
    seed: int = 0
    """Another seed gives other examples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("items", self.items, 1)
        at_least("seed", self.seed, 0)

    @property
    def length(self) -> int:
        return (1 + self.items) * self.pixels

    def source(self, split: Split) -> "MNISTListOpsRows":
        """The examples of one split; raises what `DigitImages.pool` raises."""
        return MNISTListOpsRows(self, split, self.pool(split))


@dataclass(frozen=True, eq=False)
class MNISTListOpsRows:
    """Example i is a function of (task, split, i) alone: nothing is stored but the images."""

    task: MNISTListOps
    split: Split
    pool: Pool

    def __len__(self) -> int:
        return SIZES[self.split]

    def __getitem__(self, index: int, /) -> Example:
        check_index(index, len(self))
        task = self.task
        drawn = words(task.seed, self.split, int(index), 0, 0, 1 + task.items + task.pixels)
        operator = OPERATORS[int(drawn[0] % len(OPERATORS))]
        digits, images = self.pool.choose(drawn[1 : 1 + task.items])
        sign = noisy(glyph(operator, task.side), drawn[1 + task.items :])
        starts, weights = np.zeros(task.length, bool), np.zeros(task.length, np.float32)
        starts[0], weights[-1] = True, 1.0
        return {
            "xs": np.concatenate([sign, self.pool.pixels(images).ravel()])[:, None],
            "starts": starts,
            "targets": np.full(task.length, value(operator, digits), np.int32),
            "weights": weights,
        }


def value(operator: str, digits: np.ndarray) -> int:
    """One of `OPERATORS` applied to digits (n,) ints from 0 to 9; n is at least 1."""
    if operator == "min":
        return int(digits.min())
    if operator == "max":
        return int(digits.max())
    if operator == "mean":
        return _rounded_mean(digits)
    if operator == "median":
        middle = (len(digits) - 1) // 2
        return _rounded_mean(np.sort(digits)[middle : len(digits) - middle])
    return int(np.bincount(digits).argmax())


def _rounded_mean(digits: np.ndarray) -> int:
    return int(2 * digits.sum() + len(digits)) // (2 * len(digits))
