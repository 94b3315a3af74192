"""Images of digits, of which the MNIST-based tasks are made."""

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from memcore.tasks.base.splits import stratified, three_way
from memcore.tasks.base.task import Split, TaskDefaults, check_split
from memcore.tasks.images import digits, idx, mnist
from memcore.types import Value

VARIABLE = "MEMCORE_DATA"


@dataclass(frozen=True, eq=False)
class Pool:
    """The images of one split.

    images (N, pixels) with values from 0 to `peak`, labels (N,) ints, indices (n,) which of the N
    belong to the split.
    """

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray
    peak: int

    def choose(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A digit and one of its images for each of the `words` (n,) uint64.

        Every digit is as likely as any other, whatever the images are, and so is every image of
        a digit (to one part in 2^40 with random words). Returns digits (n,) int64 and rows (n,)
        of `images`.
        """
        by_digit, first, count = self._by_digit
        chosen = (words % 10).astype(np.int64)
        rank = (words // 10 % count[chosen].astype(np.uint64)).astype(np.int64)
        return chosen, by_digit[first[chosen] + rank]

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """Those images, (n, pixels) float32 from 0 to 1."""
        return self.images[rows].astype(np.float32) / np.float32(self.peak)

    @cached_property
    def _by_digit(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = self.labels[self.indices]
        count = np.bincount(labels, minlength=10)
        if not count.all():
            raise ValueError(f"the split has no image of a {count.argmin()}, expected every digit")
        by_digit = self.indices[np.argsort(labels, kind="stable")]
        return by_digit, np.cumsum(count) - count, count


@dataclass(frozen=True, kw_only=True)
class DigitImages(TaskDefaults):
    """A task made of images of digits, each split of its own images.

    MNIST where `folder` is given, or the environment variable MEMCORE_DATA names a folder: its
    IDX files are read. Without a folder, scikit-learn's 8x8 digits, which need no download; or
    MNIST online through Hugging Face `datasets` where `images` is "mnist".

    Of MNIST's 60,000 training images one in twelve is for validation; the 10,000 others are for
    testing. A folder with the t10k files alone serves to evaluate; with `from_t10k` all three
    splits are cut out of it (7,200, 800 and 2,000 images). The 1,797 scans of 8x8 pixels give
    1,293, 144 and 360.
    """

    images: Literal["auto", "mnist", "digits"] = "auto"
    """MNIST, scikit-learn's digits, or MNIST where there is a folder of it and digits elsewhere."""
    folder: str | None = None
    """Folder of MNIST's IDX files, plain or with .gz."""
    from_t10k: bool = False
    """Cut train, validation and test out of MNIST's t10k files."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images == "digits" and (self.folder or self.from_t10k):
            raise ValueError("images is 'digits', expected 'mnist' with folder or from_t10k")

    def resolved(self) -> Value:
        """The same task, which reads the same images wherever it is run again."""
        folder = self._folder if self._mnist else None
        return replace(
            self,
            images="mnist" if self._mnist else "digits",
            folder=folder and str(Path(folder).expanduser().absolute()),
        )

    @property
    def title(self) -> str:
        """The name, and which images they are."""
        mnist = "MNIST's t10k" if self.from_t10k else "MNIST"
        return f"{self.name} ({mnist if self._mnist else '8x8 digits'})"

    @property
    def side(self) -> int:
        """Height and width of an image: 28 for MNIST, 8 for scikit-learn's digits."""
        return 28 if self._mnist else 8

    @property
    def pixels(self) -> int:
        """Steps of an image: 784 or 64."""
        return self.side**2

    def pool(self, split: Split) -> Pool:
        """The images of one split.

        Raises FileNotFoundError where the folder or a file is missing, ValueError where a file is
        truncated or wrong, ImportError where a package is missing.
        """
        check_split(split)
        if not self._mnist:
            return Pool(*digits.scans(), digits.part(split), digits.PEAK)
        images, labels = self._read("t10k" if self.from_t10k or split == "test" else "train")
        return Pool(images, labels, self._part(labels, split), peak=255)

    @property
    def _mnist(self) -> bool:
        if self.images == "auto":
            return bool(self._folder or self.from_t10k)
        return self.images == "mnist"

    @property
    def _folder(self) -> str | None:
        return self.folder or os.environ.get(VARIABLE)

    def _part(self, labels: np.ndarray, split: Split) -> np.ndarray:
        if self.from_t10k:
            return three_way(labels, test=5, validation=10)[split]
        if split == "test":
            return np.arange(len(labels))
        train, validation = stratified(labels, 12)
        return train if split == "train" else validation

    def _read(self, part: mnist.Part) -> mnist.Images:
        folder = self._folder
        if not folder:
            return mnist.from_hub(part)
        try:
            return mnist.from_folder(Path(folder).expanduser(), part)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}{_way_out(part, folder)}") from None


def _way_out(part: mnist.Part, folder: str) -> str:
    there = Path(folder).expanduser()
    has_t10k = all(idx.find(there, name) for name in mnist.file_names("t10k"))
    if part == "train" and has_t10k:
        return "; from_t10k (--task-options.from-t10k) trains on a part of the t10k files there"
    return ""
