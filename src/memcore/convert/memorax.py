"""memorax: its cells, by the names of its repository at 0f33712a (March 2026) and of release 1.0.1."""

from __future__ import annotations

from memcore.cell import Model
from memcore.convert.sources import Table, refuse, source
from memcore.convert.weights import Weights, flat, reshaped, same, turned, zeros
from memcore.models.diagonal.lru import LRU
from memcore.models.matrix.linear_attention import LinearAttention
from memcore.models.window.attention import Attention

FLAX = {"between": "/", "inside": ("params", "cell")}
"""A cell's variables, or those of a `Memoroid` or `RNN` around it."""


@source("memorax.LRUCell", **FLAX)
def lru(w: Weights) -> tuple[Model, Table]:
    size, width = w.shape("B_real")
    parts = {"re": "real", "im": "imag"}
    table = {f"{c.lower()}_{p}": turned(f"{c}_{name}") for c in "BC" for p, name in parts.items()}
    logs = {name: same(name) for name in ("nu_log", "theta_log", "gamma_log")}
    return LRU(width, size), {**table, **logs, "d": same("D")}


@source(
    "memorax.LinearAttentionCell",
    **FLAX,
    also={"RMSNorm_0": "norm", "Dense_0": "output_projection"},
)
def linear_attention(w: Weights) -> tuple[Model, Table]:
    width, heads, size = w.shape("key/kernel", 3)
    inside = ("query", "key", "value")
    model = LinearAttention(width, heads, size, size, norm=True, bias=True)
    return model, {
        **{f"{name}/kernel": reshaped(f"{name}/kernel", width, heads * size) for name in inside},
        **{f"{name}/bias": zeros(heads * size) for name in inside},
        "norm/scale": same("norm/scale"),
        "output/kernel": same("output_projection/kernel"),
        "output/bias": same("output_projection/bias"),
    }


@source("memorax.SelfAttention", **FLAX, also={"out": "output_projection"})
def self_attention(
    w: Weights, *, position: str | None = None, window: int = 1024
) -> tuple[Model, Table]:
    """``window`` is its ``context_length``: what a step sees in a stream."""
    width, heads, size = w.shape("key/kernel", 3)
    model = Attention(width, heads, window, size, size, position, bias=True)
    inside = ("query", "key", "value")
    return model, {
        **{f"{name}/kernel": reshaped(f"{name}/kernel", width, heads * size) for name in inside},
        **{f"{name}/bias": flat(f"{name}/bias") for name in inside},
        "output/kernel": reshaped("output_projection/kernel", heads * size, width),
        "output/bias": same("output_projection/bias"),
    }


refuse(
    "memorax.MambaCell",
    "its RMSNorm adds the width to the mean square, where an epsilon belongs, and is applied before the "
    "gate; and its convolution forgets its window between two calls",
)
