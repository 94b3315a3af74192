"""Operators drawn as images, for arithmetic on images of digits."""

import functools

import numpy as np

PATTERNS = {
    "+": "........ ...##... ...##... .######. .######. ...##... ...##... ........",
    "-": "........ ........ ........ .######. .######. ........ ........ ........",
    "min": "........ ##....## ##....## .##..##. .##..##. ..####.. ...##... ........",
    "max": "........ ...##... ..####.. .##..##. .##..##. ##....## ##....## ........",
    "mean": "........ .######. ........ .##..##. ...##... ...##... .##..##. ........",
    "median": "...##... ...##... ...##... ######## ######## ...##... ...##... ...##...",
    "mode": "........ .#.##.#. .######. .#.##.#. .#.##.#. .######. .#.##.#. ........",
}

INK, NOISE = 192, 35
"""Mean value of a drawn pixel, and the largest error of any, of 255."""


@functools.cache
def glyph(name: str, side: int) -> np.ndarray:
    """The operator `name` (one of `PATTERNS`) as (side * side,) booleans: true where there is ink.

    Drawn on a grid of 8x8; a finer image repeats its cells.
    """
    rows = PATTERNS[name].split()
    cells = np.arange(side) * len(rows) // side
    ink = np.array([[rows[i][j] == "#" for j in cells] for i in cells]).ravel()
    ink.setflags(write=False)
    return ink


def noisy(ink: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Images of operators as nobody draws them twice: (..., pixels) float32 from 0 to 1.

    ink (..., pixels) booleans, words (..., pixels) random uint64. Ink has 80% to 120% of its mean
    value; then -`NOISE` to `NOISE` is added to every pixel. The values are multiples of 1 / 255,
    computed with integers: the same on every machine.
    """
    strength = 80 + (words % 41).astype(np.int64)
    error = (words // 41 % (2 * NOISE + 1)).astype(np.int64) - NOISE
    values = np.where(ink, INK * strength // 100, 0) + error
    return np.clip(values, 0, 255).astype(np.float32) / np.float32(255)
