"""Independent float64 references: one plain loop over time per model, for one unbatched sequence.

Each is written from its paper's equations, in NumPy, without the library. All are called as
`reference(params, xs, starts=None, state=None, **config) -> (state, ys)` with the library's
parameter tree (nested dicts of arrays), `xs (T, in)` and `starts (T,)`: where `starts[t]` is true
the state becomes the initial one before x_t is consumed. Kernels are (in, out): y = x @ kernel.
Below are the functions that the equations of several models share.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Run = Callable[[Any, Any], Any]
"""`run(params, xs (T, in)) -> ys (T, out)` of one sequence."""


def float64(tree: Any) -> Any:
    """The same tree (nested dicts of arrays) in float64."""
    if isinstance(tree, Mapping):
        return {name: float64(branch) for name, branch in tree.items()}
    return np.asarray(tree, dtype=np.float64)


def softplus(x: Any) -> Any:
    """log(1 + e^x)."""
    return np.logaddexp(0.0, x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return np.exp(-softplus(-x))


def silu(x: Any) -> Any:
    """x sigmoid(x)."""
    return x * sigmoid(x)


def rms_norm(x: Any, scale: Any, eps: float = 1e-6) -> Any:
    """x / sqrt(mean(x^2) + eps) * scale over the last axis (arXiv:1910.07467)."""
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * scale


def by_sequence(run: Run, params: Any, xs: Any, starts: Any) -> Any:
    """ys of each sequence by itself, one behind the other."""
    borders = [0, *(t for t in np.flatnonzero(starts) if t), len(xs)]
    parts = [xs[a:b] for a, b in zip(borders[:-1], borders[1:], strict=True)]
    return np.concatenate([run(params, part) for part in parts])
