"""The IDX files of MNIST: big-endian sizes, then unsigned bytes; plain or gzipped."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np


def find(folder: Path, name: str) -> Path | None:
    """`name` or `name`.gz in `folder`, None if there is neither.

    Many copies have a dot before the kind: `train-images.idx3-ubyte` for `train-images-idx3-ubyte`.
    """
    for spelled in (name, name.replace("-idx", ".idx")):
        for path in (folder / spelled, folder / f"{spelled}.gz"):
            if path.is_file():
                return path
    return None


def read(path: Path, rank: int) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, of `rank` axes.

    Raises ValueError where the file is truncated, too long, or something else.
    """
    data = _bytes(path)
    kind, header = bytes([0, 0, 8, rank]), 4 + 4 * rank
    if data[:4] != kind:
        raise ValueError(
            f"{path} begins with {data[:4].hex() or 'nothing'}, expected an IDX file of unsigned "
            f"bytes with {rank} axes: {kind.hex()}"
        )
    if len(data) < header:
        raise ValueError(
            f"{path} ends after {len(data)} bytes, within its header of {header} bytes"
        )
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", count=rank, offset=4))
    given, expected = len(data) - header, math.prod(shape)
    if given != expected:
        raise ValueError(
            f"{path} holds {given} bytes after its header, expected {expected} for shape {shape}"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _bytes(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a complete gzip file: {error}") from error
