"""Blocks: pre-norm, Xiong et al. 2020, arXiv:2002.04745; gates, Parisotto et al. 2019, arXiv:1910.06764."""

from collections.abc import Callable
from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.diagonal import lru
from cases.models.gated.gru import gru
from cases.models.reference import float64, rms_norm, sigmoid


def gelu(x: Any) -> Any:
    """x Phi(x), Phi with a tanh."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def norm(p: Any, x: Any) -> Any:
    """With a bias a layer norm, else an RMSNorm."""
    if "bias" not in p:
        return rms_norm(x, p["scale"])
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


def joined(p: Any, x: Any, y: Any) -> Any:
    """x + y; x + sigmoid(W x + b) y; or GTrXL's gates of relu(y)."""
    if not p:
        return x + y
    if "kernel" in p:
        return x + sigmoid(x @ p["kernel"] + p["bias"]) * y
    W, y = {name: p[name]["kernel"] for name in p if name != "bias"}, np.maximum(y, 0)
    r = sigmoid(y @ W["reset_y"] + x @ W["reset_x"])
    z = sigmoid(y @ W["update_y"] + x @ W["update_x"] - p["bias"])
    return (1 - z) * x + z * np.tanh(y @ W["new_y"] + (r * x) @ W["new_x"])


def block(params: Any, xs: Any, inner: Callable[[Any, Any], Any]) -> Any:
    """xs (T, d) -> ys (T, d); inner(params, xs) -> (T, n)."""
    p, xs = float64(params), float64(xs)
    y = inner(p["model"], norm(p["norm"], xs))
    h = joined(p.get("join"), xs, y @ p["project"]["kernel"] if "project" in p else y)
    if "mlp" not in p:
        return h
    n, W = norm(p["mlp_norm"], h), p["mlp"]
    up = n @ W["up"]["kernel"]
    if "gate" in W:
        y = (gelu(n @ W["gate"]["kernel"]) * up) @ W["down"]["kernel"]
    else:
        y = gelu(up + W["up"]["bias"]) @ W["down"]["kernel"] + W["down"]["bias"]
    return joined(p.get("mlp_join"), h, y)


GRU, LRU = memcore.GRU(4, hidden_size=3), memcore.LRU(4, state_size=3)
CASES = [
    ModelCase(
        "block",
        memcore.Block(GRU, join="gru", mlp="mlp", mlp_factor=1.5),
        lambda p, x, s: block(p, x, lambda p, x: gru(p, x, s)[1]),
        NOT_ASSOCIATIVE,
    ),
    ModelCase(
        "block_gated",
        memcore.Block(LRU, norm="rms", join="gate", mlp="glu"),
        lambda p, x, s: block(p, x, lambda p, x: lru.lru(p, x, s)[1]),
        on_jax=False,
    ),
    ModelCase(
        "block_plain",
        memcore.Block(LRU),
        lambda p, x, s: block(p, x, lambda p, x: lru.lru(p, x, s)[1]),
        on_jax=False,
    ),
]
WRONG = {
    "model": (lambda: memcore.Block("gru"), r"^model is 'gru', expected a memcore\.Model"),
    "model of tokens": (
        lambda: memcore.Block(memcore.ResidualStack(3, tokens=True)),
        r"^model is .*, expected one that reads and gives vectors",
    ),
    "join": (lambda: memcore.Block(GRU, join="add"), r"^join is 'add', expected 'sum', 'gate' or"),
    "mlp": (lambda: memcore.Block(GRU, mlp="swiglu"), r"^mlp is 'swiglu', expected None or 'glu'"),
}
