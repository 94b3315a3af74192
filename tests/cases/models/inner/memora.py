"""Memora, Behrouz et al. 2025, arXiv:2504.13173, equation 27."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.inner.blocks import block


def softmax(z: Any) -> Any:
    """Over the keys."""
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


def step(W: Any, u: Any) -> Any:
    """``W = softmax(alpha log W - 2 eta k^T e)``."""
    e = u["k"] @ W - u["v"]
    W = softmax(u["keep"] * np.log(W) - u["rate"] * 2 * np.outer(u["k"], e))
    return W, u["q"] @ W


def memora(params: Any, xs: Any, starts: Any) -> Any:
    how: Any = {"heads": 2, "rate": 0.5, "gates": ("rate", "keep")}
    fresh = lambda p, h: softmax(p["weight"][h])  # noqa: E731
    return block(params, xs, starts, **how, fresh=fresh, step=step)


CASES = [ModelCase("memora", memcore.Memora(6, heads=2, conv_size=3), memora)]
