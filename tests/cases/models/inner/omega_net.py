"""OmegaNet, Behrouz et al. 2025, arXiv:2505.23735, equations 9 and 10."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.inner.blocks import block, polynomial, window_slope


def omega_net(params: Any, xs: Any, starts: Any, *, window: int, degree: int) -> Any:
    """The state is S and the last pairs."""
    phi = polynomial(degree)

    def step(state: Any, u: Any) -> Any:
        S, pairs = state
        pairs = [*pairs, (u["k"], u["v"], u["gamma"])][-window:]
        S = u["keep"] * S - u["rate"] * window_slope(S, pairs, phi)
        return (S, pairs), phi(u["q"]) @ S

    how: Any = {"heads": 2, "rate": 0.5, "gates": ("rate", "keep", "gamma")}
    size = xs.shape[1] // 2
    rows = len(phi(np.zeros(size)))
    fresh = lambda p, h: (np.zeros((rows, size)), [])  # noqa: E731
    return block(params, xs, starts, **how, fresh=fresh, step=step)


def _case(name: str, on_jax: bool, window: int, degree: int) -> ModelCase:
    how: Any = {"window": window, "degree": degree}
    model = memcore.OmegaNet(6, heads=2, conv_size=3, **how)
    return ModelCase(name, model, lambda p, x, s: omega_net(p, x, s, **how), on_jax=on_jax)


CASES = [
    _case("omega_net", True, 3, 1),
    _case("omega_net_polynomial", False, 2, 2),
    _case("omega_net_of_one", False, 1, 1),
]
