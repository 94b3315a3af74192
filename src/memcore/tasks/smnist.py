"""Sequential MNIST: 28x28 images, pixel by pixel."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from memcore.tasks import idx, mnist
from memcore.tasks.base import Split, check_split
from memcore.tasks.pixels import PixelRows
from memcore.tasks.registry import register
from memcore.tasks.splits import stratified, three_way

VARIABLE = "MEMCORE_DATA"


@register("smnist")
@dataclass(frozen=True)
class SMNIST:
    """Name the digit after its 784 pixels, read row by row or in a fixed random order.

    Of the 60,000 training images one in twelve is for validation; the 10,000 others are the test
    set. The images come from IDX files in `folder`, else in the folder that the environment
    variable MEMCORE_DATA names, else online through Hugging Face `datasets`. A folder with the
    t10k files alone serves to evaluate; with `from_t10k` all three splits are cut out of it
    (7,200, 800 and 2,000 images).
    """

    name: ClassVar[str]
    metric: ClassVar[str] = "accuracy"
    tokens: ClassVar[bool] = False
    in_features: ClassVar[int] = 1
    out_features: ClassVar[int] = 10
    length: ClassVar[int] = 784

    permuted: bool = False
    """Read the pixels in one fixed random order."""
    folder: str | None = None
    """Folder of MNIST's IDX files, plain or with .gz."""
    from_t10k: bool = False
    """Cut train, validation and test out of the t10k files."""

    def source(self, split: Split) -> PixelRows:
        """The examples of one split.

        Raises FileNotFoundError where the folder or a file is missing, ValueError where a file is
        truncated or wrong, ImportError where neither a folder nor `datasets` is there.
        """
        check_split(split)
        images, labels = self._images("t10k" if self.from_t10k or split == "test" else "train")
        if self.from_t10k:
            indices = three_way(labels, test=5, validation=10)[split]
        elif split == "test":
            indices = np.arange(len(labels))
        else:
            train, validation = stratified(labels, 12)
            indices = train if split == "train" else validation
        return PixelRows(images, labels, indices, self._order(), peak=255)

    def _images(self, part: mnist.Part) -> mnist.Images:
        folder = self.folder or os.environ.get(VARIABLE)
        if not folder:
            return mnist.from_hub(part)
        try:
            return mnist.from_folder(Path(folder).expanduser(), part)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}{self._way_out(part, folder)}") from None

    def _way_out(self, part: mnist.Part, folder: str) -> str:
        there = Path(folder).expanduser()
        has_t10k = all(idx.find(there, name) for name in mnist.file_names("t10k"))
        if part == "train" and has_t10k:
            return "; from_t10k (--task-options.from-t10k) trains on a part of the t10k files there"
        return ""

    def _order(self) -> np.ndarray:
        pixels = np.arange(self.length)
        return np.random.RandomState(0).permutation(pixels) if self.permuted else pixels
