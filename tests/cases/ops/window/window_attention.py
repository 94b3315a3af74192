"""Attention over a window."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    HEADED,
    HEADS,
    KEYS,
    VALUES,
    WINDOW,
    B,
    Op,
    Q,
    Rule,
    V,
    heads,
    inputs,
    normal,
    some_filled,
)
from memcore import ops
from memcore.ops.window.window_attention import WindowAttention


def _rotate(x: np.ndarray, position: float) -> np.ndarray:
    half = x.shape[-1] // 2
    z = x[..., :half] + 1j * x[..., half:]
    z = z * np.exp(1j * position * 10000.0 ** (-np.arange(half) / half))
    return np.concatenate([z.real, z.imag], axis=-1)


def window_attention(
    position: str | None, window: int = WINDOW, groups: int = 1, sinks: bool = False
) -> Op:
    """``groups`` query heads for each head of keys and values; ``sinks``: a logit per query head."""

    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        x = heads(rng, length)
        if groups > 1:
            x["q"] = normal(rng, length, groups * HEADS, KEYS)
        return {**x, "sinks": rng.standard_normal(groups * HEADS)} if sinks else x

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        k, v, filled = (
            np.concatenate([old[1:], np.asarray(new)[None]])
            for old, new in zip(h, (u["k"], u["v"], True), strict=True)
        )
        count = groups * HEADS
        out = np.zeros((count, VALUES))
        for head in range(count):
            own = head // groups
            ages = [window - 1 - i for i in range(window) if filled[i]]  # 0 is the newest
            scores = []
            for age in ages:
                key, query = k[window - 1 - age, own], u["q"][head]
                key = _rotate(key, -age) if position == "rope" else key
                bias = 2.0 ** (-8 * (head + 1) / count) * age if position == "alibi" else 0
                scores.append(query @ key / np.sqrt(KEYS) - bias)
            sink = np.exp(u["sinks"][head]) if sinks else 0.0
            weights = np.exp(scores) / (np.sum(np.exp(scores)) + sink)
            out[head] = sum(w * v[window - 1 - age, own] for w, age in zip(weights, ages))  # noqa: B905
        return (k, v, filled), out

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        how = {"position": position, "sinks": x.get("sinks"), "window": window, **how}
        return ops.window_attention(x["q"], x["k"], x["v"], state=state, **how)

    def state(rng: np.random.Generator) -> Any:
        filled = some_filled(rng, window)
        k, v = normal(rng, window, HEADS, KEYS), normal(rng, window, HEADS, VALUES)
        return (k * filled[..., None, None], v * filled[..., None, None], filled)

    def rule(x: Any) -> tuple[Any, Any]:
        return WindowAttention(length=window, position=position), inputs(x)

    return Op(
        run=run,
        draw=draw,
        state=state,
        step=step,
        rule=None if sinks else rule,
        constant=("sinks",) if sinks else (),
    )


CACHE = (Q, V, np.ones((2, 5), bool))


RULE = Rule(
    cases={
        "window_attention": window_attention(None),
        "window_attention_rope": window_attention("rope"),
        "window_attention_alibi": window_attention("alibi"),
        "window_attention_of_one": window_attention(None, window=1),
        "window_attention_sinks": window_attention(None, sinks=True),
        "window_attention_grouped": window_attention("alibi", groups=2),
    },
    arrays={**HEADED, "sinks": B[0, 0]},
    optional=("sinks",),
    more={"window": 3},
    golden=(
        "attn_softmax_causal",
        "attn_softmax_alibi",
        "attn_softmax_rope_halfsplit",
        "attn_softmax_rope_interleaved",
        "attn_softmax_swa8",
        "attn_softmax_alibi_swa8",
        "attn_softmax_rope_interleaved_swa8",
        "attn_softmax_sink",
        "attn_softmax_gqa",
        "memax_attention_none",
        "memax_attention_alibi",
        "memax_attention_rope",
        "memorax_self_attention_alibi",
        "memorax_self_attention_rope",
    ),
    wrong={
        "window": (lambda: ops.window_attention(Q, Q, V, 0), r"window is 0, expected"),
        "window_float": (lambda: ops.window_attention(Q, Q, V, 2.5), r"window is 2.5, expected"),
        "window_keys": (
            lambda: ops.window_attention(Q[0, 0], Q[0, 0], V[0, 0], 3),
            r"^k has shape",
        ),
        "position": (lambda: ops.window_attention(Q, Q, V, 3, position="x"), r"^position is 'x'"),
        "rope": (
            lambda: ops.window_attention(Q[..., :3], Q[..., :3], V, 3, position="rope"),
            r"even key size, got 3",
        ),
        "heads": (
            lambda: ops.window_attention(np.zeros((2, 5, 3, KEYS)), Q, V, 3),
            r"^q has 3 heads, expected a multiple of 2 to match k",
        ),
        "query": (lambda: ops.window_attention(Q[:, :4], Q, V, 3), r"^q has shape \(2, 4, 2, 4\)"),
        "sinks": (
            lambda: ops.window_attention(Q, Q, V, 3, sinks=np.zeros(3)),
            r"^sinks has shape \(3,\), expected \(2,\) to match q",
        ),
        "sinks_dtype": (
            lambda: ops.window_attention(Q, Q, V, 3, sinks=np.zeros(2, int)),
            r"^sinks has dtype int64, expected floating",
        ),
        **{
            method: (
                lambda method=method: ops.window_attention(Q, Q, V, None, method=method),
                rf"^method is '{method}', expected one of \('auto', 'fused'\)",
            )
            for method in ("sequential", "associative", "chunked")
        },
        "initial": (
            lambda: ops.window_attention(Q, Q, V, None, initial=CACHE),
            r"^initial is given, expected None",
        ),
        "state": (lambda: ops.window_attention(Q, Q, V, None, Q), r"^state has the structure"),
        "state_shapes": (
            lambda: ops.window_attention(Q, Q, V, None, (Q, V[:, :3], CACHE[2])),
            r"^state/1 has shape \(2, 3, 2, 3\), expected \(2, 5, 2, 3\)",
        ),
    },
)
