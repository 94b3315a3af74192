"""LaCT, Zhang et al. 2025, arXiv:2505.23884: a gated MLP trained chunk by chunk, beside attention."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.reference import float64, rms_norm, sigmoid, silu, softplus
from cases.models.window.attention import attention

NAMES = ("w0", "w1", "w2")
ROUNDS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def newton_schulz(G: Any) -> Any:
    """``a X + (b A + c A A) X`` with ``A = X X^T``, from ``G / |G|``, which counts as 0 far below 1e-7."""
    X = G / np.sqrt(np.sum(G * G) + 1e-14)
    for a, b, c in ROUNDS:
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X


def f(w: Any, x: Any) -> Any:
    return w["w1"] @ (silu(w["w0"] @ x) * (w["w2"] @ x))


def slopes(w: Any, k: Any, v: Any) -> dict[str, Any]:
    """The gradient of ``f(k) . v`` in each matrix, by the chain rule."""
    a, b, d = w["w0"] @ k, w["w2"] @ k, w["w1"].T @ v
    s = sigmoid(a)
    inside = d * b * s * (1 + a * (1 - s))
    return {"w0": np.outer(inside, k), "w1": np.outer(v, a * s * b), "w2": np.outer(d * a * s, k)}


def updated(w: Any, first: Any, rows: list[Any], speed: Any, muon: bool) -> tuple[Any, Any]:
    """The weights and the momentum behind a chunk of ``(k, v, rates, mu)``."""
    mean = sum(mu for *_, mu in rows) / max(len(rows), 1)
    new = {n: mean * speed[n] for n in NAMES}
    for k, v, rates, _ in rows:
        new = {n: new[n] + r * g for (n, g), r in zip(slopes(w, k, v).items(), rates, strict=True)}
    moved = {n: w[n] + (newton_schulz(new[n]) if muon else new[n]) for n in NAMES}
    norm = lambda x: np.sqrt(np.sum(x * x, axis=1, keepdims=True))  # noqa: E731
    return {n: x / (norm(x) + 1e-5) * norm(first[n]) for n, x in moved.items()}, new


def lact(
    params: Any, xs: Any, starts: Any, *, window: int, mini_batch: int, momentum: bool, muon: bool,
    position: str | None,
) -> Any:  # fmt: skip
    """xs (T, 2 D) -> ys (T, 2 D) of 2 heads each, from the beginning of the grid."""
    p, xs, heads = float64(params), float64(xs), 2
    plain = {**p, "output": {"kernel": np.eye(xs.shape[1])}}
    _, seen = attention(plain, xs, starts, heads=heads, window=window, position=position)
    q, k, v = (xs @ p[n]["kernel"] for n in ("query", "key", "value"))
    q, k = (x * p[n]["scale"] + p[n]["bias"] for n, x in (("q_affine", q), ("k_affine", k)))
    q, k, v = (silu(x).reshape(len(xs), heads, -1) for x in (q, k, v))
    q, k = (x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + 1e-6) for x in (q, k))
    linear = lambda n: xs @ p[n]["kernel"] + p[n]["bias"]  # noqa: E731
    rates = softplus(linear("rate")).reshape(len(xs), heads, 3)
    mu = sigmoid(linear("momentum")) if momentum else np.zeros((len(xs), heads))
    outs = np.zeros_like(q)
    for h in range(heads):
        first = {n: p[n][h] for n in NAMES}
        w, speed = first, {n: 0 * x for n, x in first.items()}
        rows: list[Any] = []
        for t in range(len(xs)):
            if starts is not None and starts[t]:
                w, speed, rows = first, {n: 0 * x for n, x in first.items()}, []
            outs[t, h] = f(w, q[t, h])
            rows.append((k[t, h], v[t, h], rates[t, h], mu[t, h]))
            if t % mini_batch == mini_batch - 1:
                w, speed = updated(w, first, rows, speed, muon)
                rows = []
    out = rms_norm(outs, p["norm"]["scale"]) * silu(linear("gate"))[..., None]
    return (seen + out.reshape(xs.shape)) @ p["output"]["kernel"]


def of(model: memcore.LaCT) -> Reference:
    """The loop with the settings of a model of 2 heads."""
    used: Any = {n: getattr(model, n) for n in ("window", "mini_batch", "momentum", "muon")}
    return lambda p, x, s: lact(p, x, s, position=model.position, **used)


def _case(name: str, model: memcore.LaCT, on_jax: bool = False) -> ModelCase:
    return ModelCase(name, model, of(model), on_jax=on_jax)


HOW: Any = {"heads": 2, "attention_heads": 2, "rate": 0.3}
CASES = [
    _case("lact", memcore.LaCT(4, window=4, mini_batch=4, hidden_size=3, **HOW), True),
    _case("lact_plain", memcore.LaCT(4, window=3, mini_batch=1, momentum=False, **HOW)),
    # NS multiplies small singular values by 490, with their rounding. Heads of width 1 have none; wider ones
    # stand in tests/models/inner/test_lact.py.
    _case(
        "lact_muon",
        memcore.LaCT(2, window=6, mini_batch=5, hidden_size=2, muon=True, position="alibi", **HOW),
    ),
]
