"""The diagonal-plus-low-rank form of the delta rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    BATCH,
    HEADED,
    HEADS,
    KEYS,
    VALUES,
    B,
    Op,
    Q,
    Rule,
    V,
    heads,
    inputs,
    log_decays,
    normal,
    unit,
)
from memcore import ops
from memcore.ops.matrix.dplr_delta_rule import DPLRDeltaRule


def _state(rng: np.random.Generator) -> np.ndarray:
    return normal(rng, HEADS, KEYS, VALUES)


def _fade(u: dict[str, np.ndarray]) -> np.ndarray:
    return np.exp(u["g"]).reshape(HEADS, -1, 1) if "g" in u else np.ones((HEADS, 1, 1))


def _dplr(decay: str | None) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        kappa = unit(normal(rng, length, HEADS, KEYS))
        rate = rng.uniform(0, 1, (BATCH, length, HEADS, KEYS))
        low_rank = {"a": -kappa, "b": rate * kappa}
        return {**heads(rng, length), **low_rank, **log_decays(rng, length, decay)}

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


RULE = Rule(
    cases={
        "dplr_delta_rule": _dplr(None),
        "dplr_delta_rule_decay": _dplr("head"),
        "dplr_delta_rule_channel_decay": _dplr("channel"),
    },
    arrays={**HEADED, "a": Q, "b": Q, "log_decay": B},
    optional=("log_decay",),
    golden=(
        "dplr_delta_rule",
        "iplr_delta_rule",
        "gdn2",
        "comba_paper",
        "precond_gated_delta_rule",
    ),
    wrong={
        "a": (lambda: ops.dplr_delta_rule(Q, Q, V, V, Q), r"^a has shape \(2, 5, 2, 3\), expected"),
        "b": (lambda: ops.dplr_delta_rule(Q, Q, V, Q, V), r"^b has shape \(2, 5, 2, 3\), expected"),
    },
)
