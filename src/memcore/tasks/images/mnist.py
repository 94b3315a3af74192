"""Where MNIST's images come from: IDX files in a folder, or Hugging Face `datasets`."""

import functools
from pathlib import Path
from typing import Literal

import numpy as np

from memcore.tasks.images import idx

Part = Literal["train", "t10k"]
Images = tuple[np.ndarray, np.ndarray]
"""images (N, 784) uint8 and labels (N,) uint8."""

HUB = "ylecun/mnist"


@functools.cache
def from_folder(folder: Path, part: Part) -> Images:
    """One part of MNIST from the IDX files of a folder, plain or with .gz.

    Raises FileNotFoundError for a missing folder or file, ValueError for a wrong one.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}, expected one with MNIST's IDX files")
    paths = [path for name in file_names(part) if (path := idx.find(folder, name))]
    if len(paths) < 2:
        absent = [name for name in file_names(part) if not idx.find(folder, name)]
        raise FileNotFoundError(f"{folder} lacks {' and '.join(absent)} (plain or with .gz)")
    images, labels = idx.read(paths[0], rank=3), idx.read(paths[1], rank=1)
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{paths[0]} has images of {images.shape[1:]}, expected (28, 28)")
    if not len(images):
        raise ValueError(f"{paths[0]} has no images, expected some")
    if len(images) != len(labels):
        raise ValueError(f"{paths[1]} has {len(labels)} labels, expected {len(images)}, as images")
    if labels.max(initial=0) > 9:
        raise ValueError(f"{paths[1]} has a label {labels.max()}, expected 0 to 9")
    return images.reshape(len(images), -1), labels


@functools.cache
def from_hub(part: Part) -> Images:
    """One part of MNIST through Hugging Face `datasets`, which keeps it for later runs.

    Raises ImportError without `datasets`.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ImportError(
            "no folder with MNIST's IDX files was given (option folder, or the environment "
            'variable MEMCORE_DATA), and to load it online needs "datasets": pip install datasets '
            '(images="digits" needs neither)'
        ) from error
    rows = load_dataset(HUB, split="train" if part == "train" else "test")
    images = np.stack([np.asarray(image, np.uint8).reshape(-1) for image in rows["image"]])
    return images, np.asarray(rows["label"], np.uint8)


def file_names(part: Part) -> tuple[str, str]:
    return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
