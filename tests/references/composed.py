"""Wrappers of a model, by running the model's own reference sequence by sequence."""

from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[[Any, Any], Any]
"""`run(params, xs (T, in)) -> ys (T, out)` of one sequence."""


def by_sequence(run: Run, params: Any, xs: Any, starts: Any) -> Any:
    """ys of each sequence by itself, one behind the other."""
    borders = [0, *(t for t in np.flatnonzero(starts) if t), len(xs)]
    parts = [xs[a:b] for a, b in zip(borders[:-1], borders[1:], strict=True)]
    return np.concatenate([run(params, part) for part in parts])


def backward(run: Run, params: Any, xs: Any, starts: Any) -> Any:
    """Each sequence from its end."""
    return by_sequence(lambda p, x: run(p, x[::-1])[::-1], params, xs, starts)


def bidirectional(run: Run, params: Any, xs: Any, starts: Any) -> Any:
    """Both, side by side."""
    ahead = by_sequence(run, params["forward"], xs, starts)
    return np.concatenate([ahead, backward(run, params["backward"], xs, starts)], axis=-1)
