"""flax.linen and flax.nnx: their recurrent cells, with the default activations."""

from __future__ import annotations

import numpy as np

from memcore.cell import Model
from memcore.convert.sources import Table, refuse, source
from memcore.convert.weights import Weights, beside, same, zeros
from memcore.models.gated.elman import Elman
from memcore.models.gated.gru import GRU
from memcore.models.gated.lstm import LSTM

LINEN = {"between": "/", "inside": ("params", "cell")}
"""A cell's variables, or those of an `RNN` around it."""
NNX = {"between": ".", "fixed": {"activation_fn": "tanh", "gate_fn": "sigmoid"}}


def _gates(names: str, leaf: str) -> tuple[str, ...]:
    return tuple(f"{name}/{leaf}" for name in names.split())


@source("flax.linen.GRUCell", **LINEN)
def gru_cell(w: Weights) -> tuple[Model, Table]:
    width, size = w.shape("in/kernel")
    return GRU(width, size), {
        "input/kernel": beside(*map(same, _gates("ir iz in", "kernel"))),
        "input/bias": beside(*map(same, _gates("ir iz in", "bias"))),
        "hidden/kernel": beside(*map(same, _gates("hr hz hn", "kernel"))),
        "hidden/bias": beside(zeros(size), zeros(size), same("hn/bias")),
    }


@source("flax.linen.LSTMCell", "flax.linen.OptimizedLSTMCell", **LINEN)
def lstm_cell(w: Weights) -> tuple[Model, Table]:
    width, size = w.shape("ii/kernel")
    return LSTM(width, size), {
        "input/kernel": beside(*map(same, _gates("ii if ig io", "kernel"))),
        "input/bias": zeros(4 * size),
        "hidden/kernel": beside(*map(same, _gates("hi hf hg ho", "kernel"))),
        "hidden/bias": beside(*map(same, _gates("hi hf hg ho", "bias"))),
    }


@source("flax.nnx.GRUCell", **NNX)
def nnx_gru_cell(w: Weights) -> tuple[Model, Table]:
    size, rows = w.shape("dense_h.kernel")
    return GRU(w.shape("dense_i.kernel")[0], size), {
        "input/kernel": same("dense_i.kernel"),
        "input/bias": same("dense_i.bias"),
        "hidden/kernel": same("dense_h.kernel"),
        "hidden/bias": zeros(rows),
    }


@source("flax.nnx.LSTMCell", **NNX)
def nnx_lstm_cell(w: Weights) -> tuple[Model, Table]:
    width, size = w.shape("ii.kernel")
    inputs, hidden = ("ii", "if_", "ig", "io"), ("hi", "hf", "hg", "ho")
    return LSTM(width, size), {
        "input/kernel": beside(*(same(f"{name}.kernel") for name in inputs)),
        "input/bias": zeros(4 * size),
        "hidden/kernel": beside(*(same(f"{name}.kernel") for name in hidden)),
        "hidden/bias": beside(*(same(f"{name}.bias") for name in hidden)),
    }


@source("flax.nnx.OptimizedLSTMCell", **NNX)
def nnx_optimized_lstm_cell(w: Weights) -> tuple[Model, Table]:
    size, rows = w.shape("dense_h.kernel")
    return LSTM(w.shape("dense_i.kernel")[0], size), {
        "input/kernel": same("dense_i.kernel"),
        "input/bias": zeros(rows),
        "hidden/kernel": same("dense_h.kernel"),
        "hidden/bias": same("dense_h.bias"),
    }


@source("flax.linen.SimpleCell", **LINEN)
def simple_cell(w: Weights, *, residual: bool = False) -> tuple[Model, Table]:
    return _elman(w, "i/kernel", "i/bias", "h/kernel", residual)


@source("flax.nnx.SimpleCell", **NNX, told={"residual": "residual"})
def nnx_simple_cell(w: Weights, *, residual: bool = False) -> tuple[Model, Table]:
    return _elman(w, "dense_i.kernel", "dense_i.bias", "dense_h.kernel", residual)


def _elman(w: Weights, kernel: str, bias: str, hidden: str, residual: bool) -> tuple[Model, Table]:
    """A residual ``tanh(... + h)`` is an identity in the recurrent matrix."""
    width, size = w.shape(kernel)
    add = float(residual) * np.eye(size)
    return Elman(width, size), {
        "input/kernel": same(kernel),
        "input/bias": same(bias),
        "hidden/kernel": lambda w: w.exactly(hidden, size, size) + add.astype(w.dtype()),
    }


refuse(
    "flax.linen.MGUCell",
    "its forget gate acts behind the recurrent matrix and keeps the old state, n = tanh(W x + b + f * (U h "
    "+ c)) and (1 - f) * n + f * h; the minimal gated unit (arXiv:1603.09420) has n = tanh(W x + b + "
    "U (f * h)) and (1 - f) * h + f * n",
)
