"""Sequential MNIST: images of digits, pixel by pixel."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Split
from memcore.tasks.images.image_sets import DigitImages
from memcore.tasks.images.pixels import PixelRows


@register("smnist")
@dataclass(frozen=True)
class SMNIST(DigitImages):
    """Name the digit after its pixels: MNIST's 784, or 8x8 digits where no folder of MNIST is given.

    The pixels are read row by row, or in a fixed random order.

    arXiv:1504.00941, section 4.2. The images come from a folder with MNIST's IDX files (`folder`,
    or the environment variable MEMCORE_DATA); without one they are scikit-learn's, of 64 pixels,
    or with `images="mnist"` MNIST's, online through Hugging Face `datasets`. See `DigitImages`
    for the splits.
    """

    asks: ClassVar[str] = "which digit is it?"
    tokens: ClassVar[bool] = False
    in_features: ClassVar[int] = 1
    out_features: ClassVar[int] = 10

    permuted: bool = False
    """Read the pixels in one fixed random order."""

    @property
    def length(self) -> int:
        return self.pixels

    def source(self, split: Split) -> PixelRows:
        """The examples of one split; raises what `DigitImages.pool` raises."""
        pool = self.pool(split)
        return PixelRows(pool.images, pool.labels, pool.indices, self.order, pool.peak)

    @property
    def order(self) -> np.ndarray:
        """(T,) which pixel is read at each step."""
        pixels = np.arange(self.length)
        return np.random.RandomState(0).permutation(pixels) if self.permuted else pixels
