"""ATLAS, Behrouz et al. 2025, arXiv:2505.23735, equations 32 and 33."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.inner.blocks import block, polynomial, weight, window_slope


def newton_schulz(X: Any) -> Any:
    """Five rounds of ``X (a I + b X^T X + c (X^T X)^2)``."""
    X = X / np.linalg.norm(X)
    for _ in range(5):
        A = X.T @ X
        X = X @ (3.4445 * np.eye(len(A)) - 4.7750 * A + 2.0315 * A @ A)
    return X


def atlas(params: Any, xs: Any, starts: Any, *, window: int, degree: int) -> Any:
    """The state is M, S and the last pairs."""
    phi = polynomial(degree)

    def step(state: Any, u: Any) -> Any:
        M, S, pairs = state
        pairs = [*pairs, (u["k"], u["v"], u["gamma"])][-window:]
        S = u["momentum"] * S + window_slope(M, pairs, phi)
        M = u["keep"] * M - u["rate"] * newton_schulz(S)
        return (M, S, pairs), phi(u["q"]) @ M

    how: Any = {"heads": 2, "rate": 0.01, "gates": ("rate", "keep", "gamma", "momentum")}
    fresh: Any = lambda p, h: (weight(p, h), 0 * weight(p, h), [])  # noqa: E731
    return block(params, xs, starts, **how, fresh=fresh, step=step)


def _case(name: str, on_jax: bool, window: int, degree: int) -> ModelCase:
    how: Any = {"window": window, "degree": degree}
    # NS multiplies rounding by up to 485 in its first rounds: a small rate keeps the numbers tame.
    model = memcore.Atlas(6, heads=2, conv_size=3, rate=0.01, **how)
    return ModelCase(name, model, lambda p, x, s: atlas(p, x, s, **how), on_jax=on_jax)


CASES = [_case("atlas", True, 3, 1), _case("atlas_polynomial", False, 2, 2)]
