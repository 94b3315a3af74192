"""MNIST Math: add and subtract digits given as images, pixel by pixel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.packing import joined
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example, Split, check_index, check_size
from memcore.tasks.base.words import words
from memcore.tasks.images.deciles import classes
from memcore.tasks.images.glyphs import glyph, noisy
from memcore.tasks.images.image_sets import DigitImages, Pool

TRAIN = 65_536
COUNTS = {5: 1_024, 100: 1_024, 1_000: 256, 10_000: 64, 1_000_000: 4}
"""The images of a row that are offered, and the rows for validation and for testing."""

WHOLE = 10_000_000
"""The longest row, in steps, that is given in one piece: 130 MB."""

BLOCK = 65_536
"""Steps made at once for a row in one piece."""

TERMS, NOISE = 0, 1
"""The streams of random words: one word a term, one word a pixel of an operator."""


@register("mnist_math")
@dataclass(frozen=True)
class MNISTMath(DigitImages):
    """Add and subtract the digits in a row of `count` images, of MNIST or 8x8; name the result's decile.

    Images of operators and digits alternate and the last one is a digit; where `count` is odd
    the first is a digit too, and is added. So a row is a sum of (count + 1) // 2 terms, from 0.
    Digits 0 to 9 and the operators + and - are equally likely, an image of the digit is drawn
    from those of the split, and every image of an operator has noise of its own. An image has
    784 steps, or 64 (see `DigitImages`).

    The target at a step is the class, 0 to 9, of the running result of all terms that are
    complete, this step's pixel included: how many of the nine deciles of the final result lie
    below it. The deciles are those of its exact distribution, so the final classes are about
    equally frequent. The final result alone counts, at the row's last step; with `running`, every
    term's last step.

    A row of a million images is never in one piece: `segments` gives any row in pieces that
    depend on nothing but (seed, split, index) and their place, in constant memory.

    The task is memax's "MNIST Math" (there deciles of the drawn results, and an operator between
    digits only).
    """

    asks: ClassVar[str] = "in which tenth is the result, of all results?"
    tokens: ClassVar[bool] = False
    in_features: ClassVar[int] = 1
    out_features: ClassVar[int] = 10

    count: int = 5
    """Images in a row: 5, 100, 1,000, 10,000 or 1,000,000."""
    running: bool = False
    """Ask for the running result after every digit, not only for the final one."""
    seed: int = 0
    """Another seed gives other examples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count not in COUNTS:
            offered = ", ".join(map(str, COUNTS))
            raise ValueError(f"count is {self.count}, expected one of {offered} images")
        at_least("seed", self.seed, 0)

    @property
    def length(self) -> int:
        return self.count * self.pixels

    @property
    def terms(self) -> int:
        """Digits in a row."""
        return (self.count + 1) // 2

    def source(self, split: Split) -> "MNISTMathRows":
        """The examples of one split; raises what `DigitImages.pool` raises."""
        return MNISTMathRows(self, split, self.pool(split))

    def segments(self, split: Split, index: int, size: int) -> Iterator[Example]:
        """Example `index` in segments of at most `size` steps; see `Task.segments`."""
        check_size(size)
        rows = self.source(split)
        check_index(index, len(rows))
        return rows.segments(int(index), size)


@dataclass(frozen=True, eq=False)
class MNISTMathRows:
    """Example i is a function of (task, split, i) alone: nothing is stored but the images."""

    task: MNISTMath
    split: Split
    pool: Pool

    def __len__(self) -> int:
        return TRAIN if self.split == "train" else COUNTS[self.task.count]

    def __getitem__(self, index: int, /) -> Example:
        """One row; ValueError where it has more than `WHOLE` steps."""
        check_index(index, len(self))
        if self.task.length > WHOLE:
            raise ValueError(
                f"a row of {self.task.name} with count={self.task.count} has "
                f"{self.task.length:,} steps, expected at most {WHOLE:,} in one piece: use "
                "task.segments(split, index, size), or --segment on the command line"
            )
        return joined(list(self.segments(int(index), BLOCK)))

    def segments(self, index: int, size: int) -> Iterator[Example]:
        """Row `index` in segments; the result of the terms before is carried along."""
        carried = 0
        for first in range(0, self.task.length, size):
            segment = _Segment(self, index, first, min(first + size, self.task.length), carried)
            yield segment.example()
            carried = segment.carried()


class _Segment:
    """Steps `first` to `end` - 1 of a row; `before` is the sum of the terms complete at `first`.

    An even row begins with an operator. An odd one is the same with its first image, a plus,
    left out: `skipped` steps. With it every term is two images.
    """

    def __init__(self, rows: MNISTMathRows, index: int, first: int, end: int, before: int) -> None:
        self.rows, self.index = rows, index
        task = rows.task
        self.skipped = task.count % 2 * task.pixels
        self.first, self.end = first + self.skipped, end + self.skipped
        self.term = self.first // (2 * task.pixels)
        terms = -(-self.end // (2 * task.pixels)) - self.term
        drawn = self._words(TERMS, self.term, terms)
        self.digits, self.images = rows.pool.choose(drawn // 2)
        self.minus = drawn % 2 == 1
        if self.skipped and self.term == 0:
            self.minus[0] = False
        self.results = before + np.cumsum(np.where(self.minus, -self.digits, self.digits))
        self.before = before

    def example(self) -> Example:
        task = self.rows.task
        at = np.arange(self.first, self.end)
        term, place = at // (2 * task.pixels) - self.term, at % (2 * task.pixels)
        complete = place == 2 * task.pixels - 1
        results = np.concatenate([[self.before], self.results])[term + complete]
        last = at == task.length + self.skipped - 1
        return {
            "xs": self._pixels()[:, None],
            "starts": at == self.skipped,
            "targets": classes(results, task.terms, task.count % 2).astype(np.int32),
            "weights": (complete if task.running else last).astype(np.float32),
        }

    def carried(self) -> int:
        """The sum of the terms that are complete at `end`."""
        complete = self.end // (2 * self.rows.task.pixels) - self.term
        return int(self.results[complete - 1]) if complete else self.before

    def _pixels(self) -> np.ndarray:
        """(end - first,) float32: the terms as images, cut to the segment."""
        task = self.rows.task
        count, pixels = len(self.digits), task.pixels
        ink = np.stack([glyph("+", task.side), glyph("-", task.side)])[self.minus.astype(np.int64)]
        noise = self._words(NOISE, self.term * pixels, count * pixels)
        operators = noisy(ink, noise.reshape(count, pixels))
        images = np.stack([operators, self.rows.pool.pixels(self.images)], axis=1)
        offset = self.term * 2 * pixels
        return images.ravel()[self.first - offset : self.end - offset]

    def _words(self, stream: int, first: int, count: int) -> np.ndarray:
        rows = self.rows
        return words(rows.task.seed, rows.split, self.index, stream, first, count)
