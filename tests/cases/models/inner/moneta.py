"""Moneta, Behrouz et al. 2025, arXiv:2504.13173, equation 25."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.inner.blocks import block, weight


def step(A: Any, u: Any) -> Any:
    """``g = 3 sgn(e) e^2``, ``W = A / |A|_4^2``."""
    e = u["k"] @ (A / np.sqrt(np.sum(A**4))) - u["v"]
    A = u["keep"] * A - u["rate"] * np.outer(u["k"], 3 * np.sign(e) * e**2)
    return A, u["q"] @ (A / np.sqrt(np.sum(A**4)))


def moneta(params: Any, xs: Any, starts: Any) -> Any:
    how: Any = {"heads": 2, "rate": 0.03, "gates": ("rate", "keep")}
    return block(params, xs, starts, **how, fresh=weight, step=step)


# Cubes of large errors multiply rounding at every step: a small rate keeps the numbers tame.
CASES = [ModelCase("moneta", memcore.Moneta(6, heads=2, conv_size=3, rate=0.03), moneta)]
