"""Windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from memcore import ops
from memcore.ops.window.causal_convolution import CausalConvolution
from memcore.ops.window.window_attention import WindowAttention
from op_cases.base import BATCH, HEADS, KEYS, VALUES, WIDTH, WINDOW, Op, normal
from op_cases.memories import heads, inputs


def _filled(rng: np.random.Generator, size: int) -> np.ndarray:
    """How a run leaves a window: the places that are not filled come first."""
    return np.arange(size) >= rng.integers(0, size + 1, (BATCH, 1))


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
        filled = _filled(rng, window)
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


def _convolution(size: int) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        return {"x": normal(rng, length, WIDTH), "kernel": rng.standard_normal((size, WIDTH))}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        items = np.concatenate([h[0], u["x"][None]])
        filled = np.concatenate([h[1], [True]])
        return (items[1:], filled[1:]), np.sum(u["kernel"] * items, axis=0)

    def state(rng: np.random.Generator) -> Any:
        filled = _filled(rng, size - 1)
        return (normal(rng, size - 1, WIDTH) * filled[..., None], filled)

    def rule(x: Any) -> tuple[Any, Any]:
        return CausalConvolution(length=size - 1), {"x": x["x"], "kernel": x["kernel"][None, None]}

    return Op(
        run=lambda x, state, **how: ops.causal_convolution(x["x"], x["kernel"], state, **how),
        draw=draw,
        state=state,
        step=step,
        rule=rule,
        constant=("kernel",),
    )


OPS: dict[str, Op] = {
    "window": window_attention(None),
    "window_rope": window_attention("rope"),
    "window_alibi": window_attention("alibi"),
    "window_of_one": window_attention(None, window=1),
    "window_sinks": window_attention(None, sinks=True),
    "window_grouped": window_attention("alibi", groups=2),
    "convolution": _convolution(4),
    "convolution_of_two": _convolution(2),
}
