"""memax' trunk: heads written out one by one."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.gated.gru import gru
from cases.models.reference import float64

HEADS = 2


def multi_head_trunk(params: Any, xs: Any, starts: Any) -> Any:
    """xs (T, in) -> ys (T, out): each head of a layer has a linear map of its own."""
    p = float64(params)
    h = float64(xs) @ p["input"]["kernel"] + p["input"]["bias"]
    for i in range(sum(name.startswith("layer_") for name in p)):
        layer = p[f"layer_{i}"]
        z, mixer = gru(layer["model"], h, starts)[1], layer["mixer"]
        kernels = np.split(mixer["kernel"], HEADS, axis=1)
        biases = np.split(mixer["bias"], HEADS)
        h = np.concatenate([z @ W + b for W, b in zip(kernels, biases, strict=True)], axis=-1)
        h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
        h = np.where(h > 0, h, 0.01 * h)
    return h @ p["output"]["kernel"] + p["output"]["bias"]


GRU = memcore.GRU(4, hidden_size=3)
CASES = [
    ModelCase(
        "multi_head_trunk",
        memcore.MultiHeadTrunk(3, model=GRU, out_features=2),
        multi_head_trunk,
        NOT_ASSOCIATIVE,
    )
]
WRONG = {
    "model": (
        lambda: memcore.MultiHeadTrunk(3, model="gru"),
        r"^model is 'gru', expected a Model that reads and gives vectors",
    ),
    "slope": (lambda: memcore.MultiHeadTrunk(3, slope=-1.0), r"^slope is -1\.0, expected a number"),
}
