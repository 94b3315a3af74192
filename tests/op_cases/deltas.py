"""The delta rule's relatives: products of writes, and the diagonal-plus-low-rank form."""

from __future__ import annotations

from typing import Any

import numpy as np

from memcore import ops
from memcore.ops.matrix.dplr_delta_rule import DPLRDeltaRule
from op_cases.base import BATCH, HEADS, KEYS, VALUES, Op, normal, unit
from op_cases.memories import heads, inputs

WRITES = 2


def _decays(rng: np.random.Generator, length: int, decay: str | None) -> dict[str, np.ndarray]:
    shape = (length, HEADS, KEYS) if decay == "channel" else (length, HEADS)
    return {"g": -np.abs(normal(rng, *shape))} if decay else {}


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
            **_decays(rng, length, decay),
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


def _dplr(decay: str | None) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        kappa = unit(normal(rng, length, HEADS, KEYS))
        rate = rng.uniform(0, 1, (BATCH, length, HEADS, KEYS))
        low_rank = {"a": -kappa, "b": rate * kappa}
        return {**heads(rng, length), **low_rank, **_decays(rng, length, decay)}

    def step(S: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        found = np.einsum("hkv,hk->hv", S, u["a"])
        S = _fade(u) * S + np.einsum("hk,hv->hkv", u["b"], found)
        S = S + np.einsum("hk,hv->hkv", u["k"], u["v"])
        return S, np.einsum("hkv,hk->hv", S, 0.5 * u["q"])

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        arrays = (x["q"], x["k"], x["v"], x["a"], x["b"], x.get("g"))
        return ops.dplr_delta_rule(*arrays, state, scale=0.5, **how)

    def rule(x: Any) -> tuple[Any, Any]:
        low_rank = {name: x[name] for name in "ab"}
        rest = {name: array for name, array in x.items() if name not in low_rank}
        return DPLRDeltaRule(scale=0.5), {**inputs(rest), **low_rank}

    return Op(run, draw, _state, step, rule, decay="g" if decay else None)


OPS: dict[str, Op] = {
    "delta_product": _product(None),
    "gated_delta_product": _product("head"),
    "channel_gated_delta_product": _product("channel"),
    "dplr": _dplr(None),
    "dplr_decay": _dplr("head"),
    "dplr_channel_decay": _dplr("channel"),
}
