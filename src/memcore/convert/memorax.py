"""memorax: its cells, by the names of its repository at 0f33712a (March 2026) and of release 1.0.1."""

from __future__ import annotations

import math

import numpy as np

from memcore.cell import Model
from memcore.convert.sources import Table, refuse, source
from memcore.convert.weights import Take, Weights, beside, reshaped, same, turned, zeros
from memcore.layers.head_wise import kernel_shape
from memcore.models.diagonal.ffm import FFM
from memcore.models.diagonal.lru import LRU
from memcore.models.diagonal.min_gru import MinGRU
from memcore.models.diagonal.s5 import S5
from memcore.models.gated.rtu import RTU
from memcore.models.gated.slstm_layer import GATES, SLSTMLayer
from memcore.models.matrix.linear_attention import LinearAttention
from memcore.models.matrix.mlstm import MLSTM
from memcore.models.matrix.shm import SHM
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
        **{
            f"{name}/kernel": reshaped(f"{name}/kernel", (width, heads, size), width, heads * size)
            for name in inside
        },
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
        **{
            f"{name}/kernel": reshaped(f"{name}/kernel", (width, heads, size), width, heads * size)
            for name in inside
        },
        **{
            f"{name}/bias": reshaped(f"{name}/bias", (heads, size), heads * size) for name in inside
        },
        "output/kernel": reshaped(
            "output_projection/kernel", (heads, size, width), heads * size, width
        ),
        "output/bias": same("output_projection/bias"),
    }


@source("memorax.S5Cell", **FLAX)
def s5(w: Weights, *, discretisation: str = "zoh") -> tuple[Model, Table]:
    """Every state stands for itself: there are no conjugate pairs."""
    size, width, _ = w.shape("b", 3)
    model = S5(width, size, conjugate=False, discretisation=discretisation)
    shapes = {"b": (size, width, 2), "c": (width, size, 2)}
    parts = {f"{c}_{part}": (c, i) for c in "bc" for i, part in enumerate(("re", "im"))}
    return model, {
        "lambda_re": same("lambda_real"),
        "lambda_im": same("lambda_imag"),
        "log_step": reshaped("log_step", (size, 1), size),
        **{ours: part(c, shapes[c], i) for ours, (c, i) in parts.items()},
        "d": same("d"),
    }


def part(name: str, shape: tuple[int, ...], index: int) -> Take:
    """The real or the imaginary half of a matrix that is multiplied from the left."""
    return lambda w: w.exactly(name, *shape)[..., index].T


@source("memorax.MinGRUCell", **FLAX)
def min_gru(w: Weights) -> tuple[Model, Table]:
    table = {"update/kernel": same("z/kernel"), "candidate/kernel": same("h/kernel")}
    return MinGRU(*w.shape("z/kernel")), table


@source("memorax.RTUCell", **FLAX)
def rtu(w: Weights) -> tuple[Model, Table]:
    size, width = w.shape("B_real")
    return RTU(width, size), {
        "nu_log": same("nu_log"),
        "theta_log": same("theta_log"),
        "a/kernel": turned("B_real"),
        "b/kernel": turned("B_imag"),
    }


@source("memorax.FFMCell", **FLAX, also={"a": "alpha", "b": "omega"})
def ffm(w: Weights, *, max_period: int = 1024, epsilon: float = 0.01) -> tuple[Model, Table]:
    """Its norm stands before the gate. Its alpha is the log of the decay, clipped from above at -1e-8 and
    from below where the decays of ``max_period`` steps would overflow, but for ``epsilon``."""
    width, traces = w.shape("pre/kernel")
    names = ("pre", "input_gate", "output_gate", "mix", "skip")
    [contexts] = w.shape("omega", 1)
    dtype = np.promote_types(w.dtype(), np.float32)
    lowest = epsilon - math.log(np.finfo(dtype).max) / max_period
    return FFM(width, traces, contexts, norm_first=True, eps=1e-6), {
        **{f"{n}/{leaf}": same(f"{n}/{leaf}") for n in names for leaf in ("kernel", "bias")},
        "alpha": lambda w: np.minimum(np.maximum(w["alpha"], lowest), -1e-8),
        "omega": same("omega"),
    }


@source("memorax.SHMCell", **FLAX, also={"vc": "v_c", "output": "output_projection"})
def shm(w: Weights) -> tuple[Model, Table]:
    (width, size), (rows, _) = w.shape("key/kernel"), w.shape("theta_table")
    names = {"value": "value", "key": "key", "query": "query", "calibration": "v_c"}
    return SHM(width, size, rows), {
        "norm/scale": same("ln/scale"),
        "norm/bias": same("ln/bias"),
        **{f"{ours}/kernel": same(f"{theirs}/kernel") for ours, theirs in names.items()},
        "strength/kernel": same("eta/kernel"),
        "theta": same("theta_table"),
        "output/kernel": same("output_projection/kernel"),
        "output/bias": same("output_projection/bias"),
    }


@source("memorax.mLSTMCell", **FLAX)
def mlstm(w: Weights) -> tuple[Model, Table]:
    """Its gates' rows are ordered (head, q k v, channel), memcore's (q k v, head, channel)."""
    (width, columns), heads = w.shape("up_projection/kernel"), w.shape("f_gate/kernel")[1]
    inner = columns // 2
    if inner % width:
        raise ValueError(
            f"weights['up_projection/kernel'] has {columns} columns, expected a multiple of {2 * width}, "
            "twice the width"
        )

    def gate(name: str) -> Take:
        def rows(w: Weights) -> np.ndarray:
            given = w.exactly(f"{name}/kernel", 3 * inner, heads)
            kernel = np.reshape(given, (heads, 3, -1, heads))
            return np.reshape(np.moveaxis(kernel, 1, 0), (3 * inner, heads))

        return rows

    conv, block = w.shape("causal_conv/kernel", 3)[0], w.shape("query/kernel", 3)[1]
    return MLSTM(width, heads, inner // width, conv, block), {
        "up/kernel": same("up_projection/kernel"),
        "conv/kernel": reshaped("causal_conv/kernel", (conv, 1, inner), conv, inner),
        "conv/bias": same("causal_conv/bias"),
        **{
            f"{name}/kernel": blocks(f"{name}/kernel", inner // block, block)
            for name in ("query", "key", "value")
        },
        "input_gate/kernel": gate("i_gate"),
        "input_gate/bias": same("i_gate/bias"),
        "forget_gate/kernel": gate("f_gate"),
        "forget_gate/bias": same("f_gate/bias"),
        "norm/scale": lambda w: 1 + w["norm/weight"],
        "skip": same("learnable_skip"),
        "down/kernel": same("output_projection/kernel"),
    }


@source(
    "memorax.sLSTMCell",
    **FLAX,
    also={
        "in_proj": "input_projection",
        "out_proj": "output_projection",
        "CausalConv1d_0": "causal_conv",
        "MultiHeadLayerNorm_0": "norm",
        **{gate: f"{gate}_gate" for gate in "ifzo"},
    },
)
def slstm(w: Weights) -> tuple[Model, Table]:
    """Its gates have a kernel each, memcore's recurrent kernel holds them side by side in every head."""
    (width, inner), (conv, _) = w.shape("input_projection/kernel"), w.shape("causal_conv/kernel")
    heads, gates = w.shape("i_gate/kernel", 3)[0], dict(zip("ifzo", GATES, strict=True))
    model = SLSTMLayer(width, heads, conv, inner)
    own = inner // heads

    def recurrent(w: Weights) -> np.ndarray:
        each = [w.exactly(f"r{gate}/kernel", heads, own, own) for gate in gates]
        kernel = np.concatenate([np.swapaxes(block, -1, -2) for block in each], axis=-1)
        return np.reshape(kernel, kernel_shape(inner, 4, heads))

    return model, {
        "up/kernel": same("input_projection/kernel"),
        "conv/kernel": same("causal_conv/kernel"),
        "conv/bias": same("causal_conv/bias"),
        **{
            f"{ours}/kernel": blocks(f"{gate}_gate/kernel", heads, own)
            for gate, ours in gates.items()
        },
        "memory/bias": beside(*(reshaped(f"{gate}_bias", (inner,), inner) for gate in gates)),
        "memory/hidden/kernel": recurrent,
        "norm/scale": lambda w: 1 + w["norm/weight"],
        "down/kernel": same("output_projection/kernel"),
    }


def blocks(name: str, count: int, size: int) -> Take:
    """Blocks that were multiplied from the left."""
    return lambda w: np.swapaxes(w.exactly(name, count, size, size), -1, -2)


refuse(
    "memorax.MambaCell",
    "its RMSNorm adds the width to the mean square, where an epsilon belongs, and is applied before the "
    "gate; and its convolution forgets its window between two calls",
)
