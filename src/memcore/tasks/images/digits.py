"""Scikit-learn's 8x8 scans of handwritten digits, pixel by pixel."""

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.registry import register
from memcore.tasks.base.splits import three_way
from memcore.tasks.base.task import Split, TaskDefaults, check_split
from memcore.tasks.images.pixels import PixelRows

PEAK = 16
"""The value of a scan's darkest pixel."""


@register("digits")
@dataclass(frozen=True)
class Digits(TaskDefaults):
    """Name the digit after its 64 pixels: 1,797 real scans that come with scikit-learn.

    360 scans are the test set; of the 1,437 others 144 are for validation and 1,293 train. The
    splits are fixed and hold every digit in the same proportion.
    """

    asks: ClassVar[str] = "which digit is it?"
    side: ClassVar[int] = 8
    tokens: ClassVar[bool] = False
    in_features: ClassVar[int] = 1
    out_features: ClassVar[int] = 10
    length: ClassVar[int] = 64

    def source(self, split: Split) -> PixelRows:
        """The examples of one split (see `Task.source`); ImportError without scikit-learn."""
        check_split(split)
        images, labels = scans()
        return PixelRows(images, labels, part(split), np.arange(self.length), peak=PEAK)


def part(split: Split) -> np.ndarray:
    """Which of the 1,797 scans belong to a split."""
    return three_way(scans()[1], test=5, validation=10)[split]


@functools.cache
def scans() -> tuple[np.ndarray, np.ndarray]:
    """images (1797, 64) with values from 0 to 16, labels (1797,); ImportError without scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        message = 'the 8x8 digits need scikit-learn: install the extra "train"'
        raise ImportError(message) from error
    return load_digits(return_X_y=True)
