"""Scikit-learn's 8x8 scans of handwritten digits, pixel by pixel."""

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base import Split, check_split
from memcore.tasks.pixels import PixelRows
from memcore.tasks.registry import register
from memcore.tasks.splits import three_way


@register("digits")
@dataclass(frozen=True)
class Digits:
    """Name the digit after its 64 pixels: 1,797 real scans that come with scikit-learn.

    360 scans are the test set; of the 1,437 others 144 are for validation and 1,293 train. The
    splits are fixed and hold every digit in the same proportion.
    """

    name: ClassVar[str]
    metric: ClassVar[str] = "accuracy"
    tokens: ClassVar[bool] = False
    in_features: ClassVar[int] = 1
    out_features: ClassVar[int] = 10
    length: ClassVar[int] = 64

    def source(self, split: Split) -> PixelRows:
        """The examples of one split (see `Task.source`); ImportError without scikit-learn."""
        check_split(split)
        images, labels = _scans()
        indices = three_way(labels, test=5, validation=10)[split]
        return PixelRows(images, labels, indices, np.arange(self.length), peak=16)


@functools.cache
def _scans() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        message = 'the task digits needs scikit-learn: install the extra "train"'
        raise ImportError(message) from error
    return load_digits(return_X_y=True)
