"""Several delta rules in every step."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    BATCH,
    HEADS,
    KEYS,
    VALUES,
    B,
    Op,
    Q,
    Rule,
    V,
    log_decays,
    normal,
    unit,
)
from memcore import ops

WRITES = 2


def _state(rng: np.random.Generator) -> np.ndarray:
    return normal(rng, HEADS, KEYS, VALUES)


def _fade(u: dict[str, np.ndarray]) -> np.ndarray:
    return np.exp(u["g"]).reshape(HEADS, -1, 1) if "g" in u else np.ones((HEADS, 1, 1))


def _product(decay: str | None) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        return {
            "q": normal(rng, length, HEADS, KEYS),
            "k": unit(normal(rng, length, WRITES, HEADS, KEYS)),
            "v": normal(rng, length, WRITES, HEADS, VALUES),
            "beta": rng.uniform(0, 2, (BATCH, length, WRITES, HEADS)),
            **log_decays(rng, length, decay),
        }

    def step(S: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        S = _fade(u) * S
        for k, v, beta in zip(u["k"], u["v"], u["beta"], strict=True):
            error = v - np.einsum("hkv,hk->hv", S, k)
            S = S + beta[:, None, None] * np.einsum("hk,hv->hkv", k, error)
        return S, np.einsum("hkv,hk->hv", S, 0.5 * u["q"])

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        arrays = (x["q"], x["k"], x["v"], x["beta"], x.get("g"))
        return ops.delta_product(*arrays, state, scale=0.5, **how)

    return Op(run, draw, _state, step, decay="g" if decay else None)


K2, V2, B2 = np.zeros((2, 5, 3, 2, 4)), np.zeros((2, 5, 3, 2, 3)), np.zeros((2, 5, 3, 2))


RULE = Rule(
    cases={
        "delta_product": _product(None),
        "delta_product_decay": _product("head"),
        "delta_product_channel_decay": _product("channel"),
    },
    arrays={"q": Q, "k": K2, "v": V2, "beta": B2, "log_decay": B},
    optional=("log_decay",),
    golden=("delta_product", "gated_delta_product"),
    wrong={
        "n": (
            lambda: ops.delta_product(Q, K2[:, :, :0], V2[:, :, :0], B2[:, :, :0]),
            r"^k has shape \(2, 5, 0, 2, 4\), expected \(..., T, n, H, K\) with n >= 1",
        ),
        "k": (lambda: ops.delta_product(Q[0], Q[0], V2, B2), r"^k has shape \(5, 2, 4\), expected"),
        "q": (lambda: ops.delta_product(V, K2, V2, B2), r"^q has shape \(2, 5, 2, 3\), expected"),
        "v": (
            lambda: ops.delta_product(Q, K2, V2[:, :, :2], B2),
            r"^v has shape \(2, 5, 2, 2, 3\)",
        ),
        "beta": (
            lambda: ops.delta_product(Q, K2, V2, Q),
            r"^beta has shape \(2, 5, 2, 4\), expected",
        ),
        "log_decay": (
            lambda: ops.delta_product(Q, K2, V2, B2, B2),
            r"^log_decay has shape \(2, 5, 3, 2\), expected \(2, 5, 2, 4\)",
        ),
        "starts": (
            lambda: ops.delta_product(Q, K2, V2, B2, starts=np.zeros((2, 15), bool)),
            r"^starts has shape \(2, 15\), expected \(2, 5\)",
        ),
    },
)
