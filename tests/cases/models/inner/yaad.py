"""Yaad, Behrouz et al. 2025, arXiv:2504.13173, equation 26."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.inner.blocks import block, weight


def step(loss: str) -> Any:
    """``g = 2 e`` if ``|e| <= delta``, else ``delta sgn(e)``; Huber's loss of the norm or of coordinates."""

    def one(W: Any, u: Any) -> Any:
        e, delta = u["k"] @ W - u["v"], u["threshold"]
        size = np.linalg.norm(e)
        g = {
            "switched": 2 * e if size <= delta else delta * np.sign(e),
            "norm": e if size <= delta else delta * e / size,
            "coordinate": np.clip(e, -delta, delta),
        }[loss]
        W = u["keep"] * W - u["rate"] * np.outer(u["k"], g)
        return W, u["q"] @ W

    return one


def yaad(params: Any, xs: Any, starts: Any, loss: str) -> Any:
    how: Any = {"heads": 2, "rate": 0.5, "gates": ("rate", "keep", "threshold")}
    return block(params, xs, starts, **how, fresh=weight, step=step(loss))


CASES = [
    ModelCase(
        "yaad" if loss == "coordinate" else f"yaad_{loss}",
        memcore.Yaad(6, heads=2, conv_size=3, loss=loss),
        lambda p, x, s, loss=loss: yaad(p, x, s, loss),  # type: ignore[misc]
        on_jax=loss == "coordinate",
    )
    for loss in ("coordinate", "norm", "switched")
]
