"""TTT-Linear, Sun et al. 2024, arXiv:2407.04620: gradient descent on a reconstruction, in mini-batches."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.reference import float64, sigmoid


def _norm(z: Any, eps: float) -> tuple[Any, Any]:
    std = np.sqrt(z.var() + eps)
    return (z - z.mean()) / std, std


def ttt_linear(
    params: Any, xs: Any, starts: Any = None, *, heads: int, mini_batch: int, eps: float = 1e-6
) -> tuple[Any, Any]:
    """xs (T, heads D) -> (W (heads, D, D), ys (T, heads D)), from the beginning of the grid.

    Each row keeps its key and error until the mini-batch ends or a sequence begins; the loss of a row is
    |LN(k W + c) - (v - k)|^2 / 2 at the weights that the mini-batch, or the sequence, began with.
    """
    p, xs = float64(params), float64(xs)
    size = xs.shape[1] // heads
    finals, outs = [], np.zeros_like(xs)
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        w, b = p["norm"]["scale"][h], p["norm"]["bias"][h]
        W, c = p["weight"][h], p["offset"][h]
        rows: list[Any] = []
        for t, x in enumerate(xs):
            if starts is not None and starts[t]:
                W, c, rows = p["weight"][h], p["offset"][h], []
            q, k, v = (x @ p[name]["kernel"][:, own] for name in ("query", "key", "value"))
            rate = sigmoid(x @ p["rate"]["kernel"][:, h] + p["rate"]["bias"][h]) / size
            y, std = _norm(k @ W + c, eps)
            g = (w * y + b - (v - k)) * w
            rows.append((k, (size * g - g.sum() - y * (g * y).sum()) / (std * size)))
            q = q / np.sqrt(size)
            z = q @ W + c - rate * sum((q @ k + 1) * e for k, e in rows)
            outs[t, own] = z + w * _norm(z, eps)[0] + b
            if t % mini_batch == mini_batch - 1:
                W = W - rate * sum(np.outer(k, e) for k, e in rows)
                c = c - rate * sum(e for _, e in rows)
                rows = []
        finals.append(W)
    centred = outs - outs.mean(1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(1, keepdims=True) + eps)
    normed = normed * p["output_norm"]["scale"] + p["output_norm"]["bias"]
    return np.stack(finals), normed @ p["output"]["kernel"]


CASES = [
    ModelCase(
        "ttt_linear",
        memcore.TTTLinear(6, heads=2, mini_batch=4),
        lambda p, x, s: ttt_linear(p, x, s, heads=2, mini_batch=4)[1],
        NOT_ASSOCIATIVE,
    ),
    ModelCase(
        "ttt_linear_of_one",
        memcore.TTTLinear(6, heads=2, mini_batch=1),
        lambda p, x, s: ttt_linear(p, x, s, heads=2, mini_batch=1)[1],
        NOT_ASSOCIATIVE,
        on_jax=False,
    ),
]
