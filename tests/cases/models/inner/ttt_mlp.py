"""TTT-MLP, Sun et al. 2024, arXiv:2407.04620: gradient descent of an MLP, in mini-batches."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase, Reference
from cases.models.reference import float64, sigmoid

NAMES = ("w1", "b1", "w2", "b2")


def gelu(z: Any) -> Any:
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def layer_norm(z: Any, scale: Any, bias: Any, eps: float) -> Any:
    mean = z.mean(-1, keepdims=True)
    var = ((z - mean) ** 2).mean(-1, keepdims=True)
    return (z - mean) / np.sqrt(var + eps) * scale + bias


def f(W: Any, x: Any, scale: Any, bias: Any, eps: float) -> Any:
    w1, b1, w2, b2 = W
    return x + layer_norm(gelu(x @ w1 + b1) @ w2 + b2, scale, bias, eps)


def slope(W: Any, k: Any, v: Any, *norm: Any) -> list[Any]:
    """The gradient of ``|f(k) - v|^2 / 2`` by complex steps, exact to rounding."""
    found = []
    for i, w in enumerate(W):
        grad = np.zeros_like(w)
        for index in np.ndindex(*w.shape):
            moved = [np.array(x, complex) for x in W]
            moved[i][index] += 1e-30j
            grad[index] = 0.5 * np.sum((f(moved, k, *norm) - v) ** 2).imag / 1e-30
        found.append(grad)
    return found


def ttt_mlp(params: Any, xs: Any, starts: Any, *, heads: int, mini_batch: int, most: float) -> Any:
    """xs (T, heads D) -> ys (T, heads D), from the beginning of the grid."""
    p, xs, eps = float64(params), float64(xs), 1e-6
    size, outs = xs.shape[1] // heads, np.zeros_like(xs)
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        norm = (p["norm"]["scale"][h], p["norm"]["bias"][h], eps)
        fresh = [p["weights"][n][h] for n in NAMES]
        W, total = fresh, [0 * w for w in fresh]
        for t, x in enumerate(xs):
            if starts is not None and starts[t]:
                W, total = fresh, [0 * w for w in fresh]
            q, k, v = (x @ p[name]["kernel"][:, own] for name in ("query", "key", "value"))
            rate = most * sigmoid(x @ p["rate"]["kernel"][:, h] + p["rate"]["bias"][h]) / size
            total = [s + g for s, g in zip(total, slope(W, k, v, *norm), strict=True)]
            now = [w - rate * s for w, s in zip(W, total, strict=True)]
            outs[t, own] = f(now, q, *norm)
            if t % mini_batch == mini_batch - 1:
                W, total = now, [0 * w for w in fresh]
    last = p["output_norm"]
    return layer_norm(outs, last["scale"], last["bias"], eps) @ p["output"]["kernel"]


def _case(name: str, mini_batch: int, on_jax: bool) -> ModelCase:
    model = memcore.TTTMLP(6, heads=2, hidden_size=4, mini_batch=mini_batch)
    how: Any = {"heads": 2, "mini_batch": mini_batch, "most": 0.1}
    reference: Reference = lambda p, x, s: ttt_mlp(p, x, s, **how)  # noqa: E731
    return ModelCase(name, model, reference, NOT_ASSOCIATIVE, on_jax)


CASES = [_case("ttt_mlp", 4, True), _case("ttt_mlp_of_one", 1, False)]
