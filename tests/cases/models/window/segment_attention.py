"""Attention to this segment and to the outputs of the one before: Dai et al. 2019, arXiv:1901.02860."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase, Reference
from cases.models.reference import float64


def segment_attention(params: Any, xs: Any, starts: Any = None, *, heads: int, segment: int) -> Any:
    """xs (T, in) -> ys (T, in), T from place 0 of the grid.

    Row t sees rows j of itself to t since the start in its own segment, W_k x_j and W_v x_j, and the
    outputs y_j since the start of the segment before, W_k y_j and W_v y_j.
    """
    p, xs = float64(params), float64(xs)
    ys, start = np.zeros((len(xs), p["output"]["kernel"].shape[1])), 0
    for t in range(len(xs)):
        start = t if starts is not None and starts[t] else start
        border = t // segment * segment
        memory = ys[max(border - segment, start) : max(border, start)]
        rows = np.concatenate([memory, xs[max(border, start) : t + 1]])
        k, v = ((rows @ p[n]["kernel"]).reshape(len(rows), heads, -1) for n in ("key", "value"))
        q = (xs[t] @ p["query"]["kernel"]).reshape(heads, -1)
        scores = np.exp(np.einsum("hk,nhk->hn", q, k) * q.shape[-1] ** -0.5)
        shares = scores / scores.sum(axis=-1, keepdims=True)
        ys[t] = np.einsum("hn,nhv->hv", shares, v).reshape(-1) @ p["output"]["kernel"]
    return ys


def of(heads: int, segment: int) -> Reference:
    return lambda p, x, s: segment_attention(p, x, s, heads=heads, segment=segment)


CASES = [
    ModelCase(
        "segment_attention",
        memcore.SegmentAttention(4, heads=2, segment=3),
        of(2, 3),
        NOT_ASSOCIATIVE,
    ),
    ModelCase(
        "segment_attention_one",
        memcore.SegmentAttention(4, heads=1, segment=1, key_size=2, value_size=3),
        of(1, 1),
        NOT_ASSOCIATIVE,
        on_jax=False,
    ),
]
WRONG = {
    "heads": (lambda: memcore.SegmentAttention(10), r"^heads is 4, expected a divisor"),
    "segment": (lambda: memcore.SegmentAttention(8, segment=0), r"^segment is 0, expected a pos"),
}
