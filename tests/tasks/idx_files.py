"""Write tiny MNIST files."""

import gzip
from pathlib import Path

import numpy as np


def write_idx(path: Path, array: np.ndarray) -> None:
    sizes = np.asarray(array.shape, ">u4").tobytes()
    data = bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_part(folder: Path, part: str, count: int, suffix: str = "") -> np.ndarray:
    """Write images that differ and labels 0, 1, ..., 9, 0, ...; returns the images."""
    images = np.random.RandomState(len(part)).randint(256, size=(count, 28, 28))
    write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
    write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", np.arange(count) % 10)
    return images
