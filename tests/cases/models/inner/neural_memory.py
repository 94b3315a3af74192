"""The neural memory of Titans, Behrouz et al. 2025, arXiv:2501.00663: descent with momentum."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.reference import float64, rms_norm, sigmoid, silu


def convolved(p: Any, xs: Any, starts: Any, heads: int) -> tuple[Any, Any, Any]:
    """q, k of norm 1 and v, ``(T, heads, D)``: ``silu`` of a causal convolution with zeros before a start."""
    found = []
    for name in ("query", "key", "value"):
        taps, u = p[f"{name}_conv"]["kernel"], xs @ p[name]["kernel"]
        y = np.zeros_like(u)
        for t in range(len(u)):
            for back in range(len(taps)):
                if back > t or (starts is not None and starts[t - back + 1 : t + 1].any()):
                    break
                y[t] += taps[-1 - back] * u[t - back]
        a = silu(y).reshape(len(u), heads, -1)
        if name != "value":
            a = a / np.sqrt(np.sum(a * a, axis=-1, keepdims=True) + 1e-6)
        found.append(a)
    return tuple(found)  # type: ignore[return-value]


def forward(W: Any, x: Any, residual: bool) -> tuple[Any, Any]:
    """``(output, [(input, product) of each layer])``, silu between the layers."""
    layers, a = [], x
    for i, w in enumerate(W):
        a = silu(a) if i else a
        layers.append((a, a @ w))
        a = a @ w
    return (a + x if residual else a), layers


def slopes(W: Any, k: Any, v: Any, residual: bool, most: float = np.inf) -> list[Any]:
    """The gradient of ``|M(k) - v|^2`` in each layer's matrix, by the chain rule; its norm at ``most``."""
    out, layers = forward(W, k, residual)
    d, found = 2 * (out - v), []
    for i in range(len(W) - 1, -1, -1):
        found.insert(0, np.outer(layers[i][0], d))
        if i:
            z = layers[i - 1][1]
            d = (W[i] @ d) * (sigmoid(z) * (1 + z * (1 - sigmoid(z))))
    left = min(1.0, most / np.sqrt(sum(np.sum(g * g) for g in found)))
    return [left * g for g in found]


def neural_memory(
    params: Any, xs: Any, starts: Any, *, heads: int, mini_batch: int, rate: float, residual: bool,
    max_grad_norm: float = np.inf,
) -> Any:  # fmt: skip
    """xs (T, heads D) -> ys (T, heads D), from the beginning of the grid."""
    p, xs = float64(params), float64(xs)
    q, k, v = convolved(p, xs, starts, heads)
    gates = (sigmoid(xs @ p[n]["kernel"] + p[n]["bias"]) for n in ("rate", "momentum", "forget"))
    theta, eta, alpha = gates
    outs = np.zeros_like(q)
    for h in range(heads):
        fresh = [p["weights"][f"layer_{i}"][h] for i in range(len(p["weights"]))]
        W, S, anchor = fresh, [0 * w for w in fresh], fresh
        for t in range(len(xs)):
            if starts is not None and starts[t]:
                W, S, anchor = fresh, [0 * w for w in fresh], fresh
            G = slopes(anchor, k[t, h], v[t, h], residual, max_grad_norm)
            S = [eta[t, h] * s - rate * theta[t, h] * g for s, g in zip(S, G, strict=True)]
            W = [(1 - alpha[t, h]) * w + s for w, s in zip(W, S, strict=True)]
            outs[t, h] = forward(W, q[t, h], residual)[0]
            anchor = W if t % mini_batch == mini_batch - 1 else anchor
    y = rms_norm(outs, p["norm"]["scale"]).reshape(xs.shape) * silu(xs @ p["gate"]["kernel"])
    return y @ p["output"]["kernel"]


def _case(name: str, on_jax: bool, **how: Any) -> ModelCase:
    model = memcore.NeuralMemory(6, heads=2, conv_size=3, **how)
    names = ("heads", "mini_batch", "rate", "residual", "max_grad_norm")
    used: Any = {n: getattr(model, n) for n in names}
    reference: Reference = lambda p, x, s: neural_memory(p, x, s, **used)  # noqa: E731
    return ModelCase(name, model, reference, on_jax=on_jax)


CASES = [
    _case("neural_memory", True, mini_batch=4, hidden_size=4),
    _case("neural_memory_linear", True, depth=1, mini_batch=4, residual=False),
    _case("neural_memory_of_one", False, depth=1, mini_batch=1, rate=0.5),
    _case("neural_memory_cut", False, mini_batch=4, hidden_size=4, rate=0.5, max_grad_norm=0.3),
    _case("neural_memory_deep", False, depth=3, mini_batch=16, hidden_size=4),
]
