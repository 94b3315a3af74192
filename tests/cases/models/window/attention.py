"""Softmax attention over a sliding window, Vaswani et al. 2017, arXiv:1706.03762.

Positions: RoPE, Su et al. 2021, arXiv:2104.09864, or ALiBi, Press et al. 2021, arXiv:2108.12409.
"""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.reference import float64


def rope(x: Any, position: int) -> Any:
    """x (H, K): pair (x_j, x_{j+K/2}) turned by the angle position * 10000^(-2j/K)."""
    half = x.shape[-1] // 2
    angle = position * 10000.0 ** (-np.arange(half) / half)
    turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angle)
    return np.concatenate([turned.real, turned.imag], axis=-1)


def attention(
    params: Any,
    xs: Any,
    starts: Any = None,
    state: Any = None,
    *,
    heads: int,
    window: int,
    position: str | None = None,
) -> tuple[Any, Any]:
    """xs (T, in) -> ((keys (n, H, K), values (n, H, V), steps since the start), ys (T, in)).

    o_t = sum_i softmax_i(q_t . k_i K^-0.5 + bias) v_i  over t - window < i <= t since the start
    y_t = o_t W_output; n <= window; with sinks the softmax has one more logit, whose value is 0
    all four projections may have biases; persistent tokens (N, in) are seen by all, without a position
    position "rope": q and k turned by `rope`; "alibi": bias = -2^(-8(h+1)/H) (t - i), h from 0
    """
    p, xs = float64(params), float64(xs)
    slopes = 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)
    keys, values, steps = ([], [], 0) if state is None else (*map(list, state[:2]), state[2])
    ys = np.zeros((len(xs), p["output"]["kernel"].shape[1]))
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            keys, values, steps = [], [], 0
        rows = (x @ p[n]["kernel"] + p[n].get("bias", 0.0) for n in ("query", "key", "value"))
        q, k, v = (row.reshape(heads, -1) for row in rows)
        plain = q
        q, k = (rope(q, steps), rope(k, steps)) if position == "rope" else (q, k)
        keys, values, steps = [*keys, k][-window:], [*values, v][-window:], steps + 1
        scores = np.einsum("hk,nhk->hn", q, np.stack(keys)) * q.shape[-1] ** -0.5
        if position == "alibi":
            scores = scores - slopes[:, None] * np.arange(len(keys))[::-1]
        held = np.stack(values)
        if "persistent" in p:
            own = [
                p["persistent"] @ p[n]["kernel"] + p[n].get("bias", 0.0) for n in ("key", "value")
            ]
            own_k, own_v = (row.reshape(len(row), heads, -1) for row in own)
            asked = np.einsum("hk,nhk->hn", plain, own_k) * q.shape[-1] ** -0.5
            scores, held = np.concatenate([asked, scores], axis=1), np.concatenate([own_v, held])
        top = scores.max(axis=-1, keepdims=True)
        weights = np.exp(scores - top)
        sink = np.exp(p["sinks"][:, None] - top) if "sinks" in p else 0.0
        weights = weights / (weights.sum(axis=-1, keepdims=True) + sink)
        o = np.einsum("hn,nhv->hv", weights, held).reshape(-1)
        ys[t] = o @ p["output"]["kernel"] + p["output"].get("bias", 0.0)
    return (np.array(keys), np.array(values), steps), ys


def of(heads: int, window: int, position: str | None) -> Reference:
    how: dict[str, Any] = {"heads": heads, "window": window, "position": position}
    return lambda p, x, s: attention(p, x, s, **how)[1]


def _shape(name: str, position: str | None) -> ModelCase:
    how: dict[str, Any] = {"heads": 2, "window": 5, "position": position}
    return ModelCase(name, memcore.Attention(6, key_size=4, value_size=3, **how), of(**how))


CASES = [
    ModelCase("attention", memcore.Attention(8, heads=2, window=4), of(2, 4, "rope")),
    ModelCase(
        "attention_alibi",
        memcore.Attention(6, heads=2, window=20, position="alibi"),
        of(2, 20, "alibi"),
        on_jax=False,
    ),
    ModelCase(
        "attention_plain",
        memcore.Attention(6, heads=3, window=1, position=None),
        of(3, 1, None),
        on_jax=False,
    ),
    ModelCase(
        "attention_cache",
        memcore.Attention(8, heads=2, window=None, capacity=99, position=None),
        of(2, 99, None),
        on_jax=False,
    ),
    ModelCase(
        "attention_sinks",
        memcore.Attention(6, heads=3, window=3, position=None, sinks=True),
        of(3, 3, None),
        on_jax=False,
    ),
    ModelCase(
        "attention_persistent",
        memcore.Attention(8, heads=2, window=4, persistent=3, sinks=True),
        of(2, 4, "rope"),
        on_jax=False,
    ),
    ModelCase(
        "attention_persistent_alibi",
        memcore.Attention(6, heads=3, window=20, position="alibi", bias=True, persistent=1),
        of(3, 20, "alibi"),
        on_jax=False,
    ),
    ModelCase(
        "attention_bias",
        memcore.Attention(6, heads=3, window=4, bias=True),
        of(3, 4, "rope"),
        on_jax=False,
    ),
]
SHAPES = [
    _shape("attention", None),
    _shape("attention_rope", "rope"),
    _shape("attention_alibi", "alibi"),
]
WRONG = {
    "heads": (lambda: memcore.Attention(8, heads=0), r"^heads is 0, expected a positive int"),
    "window": (lambda: memcore.Attention(8, window=0), r"^window is 0, expected None or a posi"),
    "heads and width": (lambda: memcore.Attention(10), r"^heads is 4, expected a divisor of"),
    "position": (lambda: memcore.Attention(8, position="sin"), r"^position is 'sin', expected"),
    "rope": (lambda: memcore.Attention(12), r"^position is 'rope', which needs an even key size"),
}
