"""The algebra of windows, held against lists."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from conftest import Backend
from memcore.ops.window.window import Window


def element(items: list[int], places: int, backend: Backend) -> Any:
    """A window of so many places with the items at its end."""
    empty = places - len(items)
    held = np.array([[-1] * empty + items], dtype="float32").reshape(1, places, 1)
    filled = np.array([[False] * empty + [True] * len(items)]).reshape(1, places)
    return backend.asarray((held, filled))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_the_last_items_of_one_behind_the_other(length: int, backend: Backend) -> None:
    """Of all numbers of places and items, those of a piece shorter than the window too."""
    of_one = [(n, count) for n in range(1, length + 1) for count in range(n + 1)]
    for (n, first), (m, second) in product(of_one, of_one):
        a, b = list(range(first)), list(range(10, 10 + second))
        got = Window(length).binary_op(element(a, n, backend), element(b, m, backend))
        held, filled = (np.asarray(x) for x in got)
        assert held.shape == (1, min(length, n + m), 1)
        assert held[0, :, 0][filled[0]].tolist() == (a + b)[-length:]
        assert sorted(filled[0]) == filled[0].tolist()  # at its end
