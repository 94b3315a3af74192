"""The functions of memcore.ops, each with random inputs and a plain float64 loop of its equations.

The loops know nothing of the library: one step of one sequence at a time, on NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optree

from memcore import ops

BATCH, HEADS, KEYS, VALUES, WIDTH, WINDOW = 2, 2, 4, 3, 3, 4


@dataclass(frozen=True)
class Op:
    """A function of memcore.ops.

    `run(arrays, state, **how)` calls it, `draw(rng, T)` makes its arrays, `state(rng)` a state that
    a run may leave behind, and `step(state, u) -> (state, out)` is the loop's body for one sequence.
    """

    run: Callable[..., tuple[Any, Any]]
    draw: Callable[[np.random.Generator, int], dict[str, np.ndarray]]
    state: Callable[[np.random.Generator], Any]
    step: Callable[[Any, dict[str, np.ndarray]], tuple[Any, Any]]
    constant: tuple[str, ...] = field(default=())

    @property
    def methods(self) -> tuple[str, ...]:
        return ("sequential", "associative", "chunked", "fused")


def loop(
    op: Op,
    arrays: dict[str, np.ndarray],
    state: Any,
    initial: Any = None,
    starts: Any = None,
    valid: Any = None,
) -> tuple[Any, Any]:
    """What `op.run` must give, one step of one sequence at a time."""
    moving = next(x for name, x in arrays.items() if name not in op.constant)
    batch, length = moving.shape[:2]
    initial = optree.tree_map(np.zeros_like, state) if initial is None else initial
    finals, outs = [], []
    for i in range(batch):
        h = optree.tree_map(lambda s, i=i: s[i], state)
        row = []
        for t in range(length):
            u = {name: x if name in op.constant else x[i, t] for name, x in arrays.items()}
            if starts is not None and starts[i, t]:
                h = optree.tree_map(lambda s, i=i: s[i], initial)
            after, out = op.step(h, u)
            if valid is not None and not valid[i, t]:
                after, out = h, optree.tree_map(np.zeros_like, out)
            h = after
            row.append(out)
        finals.append(h)
        outs.append(optree.tree_map(lambda *xs: np.stack(xs), *row))
    return tuple(optree.tree_map(lambda *xs: np.stack(xs), *rows) for rows in (finals, outs))


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return 0.7 * rng.standard_normal((BATCH, *shape))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


# --- linear recurrences ----------------------------------------------------------------------------


def _real(constant: bool) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        shape = (WIDTH,) if constant else (BATCH, length, WIDTH)
        return {"a": rng.uniform(-1, 1, shape), "b": normal(rng, length, WIDTH)}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        h = u["a"] * h + u["b"]
        return h, h

    return Op(
        run=lambda x, state, **how: ops.linear_recurrence(x["a"], x["b"], state, **how),
        draw=draw,
        state=lambda rng: normal(rng, WIDTH),
        step=step,
        constant=("a",) if constant else (),
    )


def _complex(constant: bool) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        shape = (WIDTH,) if constant else (BATCH, length, WIDTH)
        a = rng.uniform(0.2, 1, shape) * np.exp(1j * rng.uniform(-3, 3, shape))
        b = normal(rng, length, WIDTH), normal(rng, length, WIDTH)
        return {"a_re": a.real, "a_im": a.imag, "b_re": b[0], "b_im": b[1]}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        z = (u["a_re"] + 1j * u["a_im"]) * (h[0] + 1j * h[1]) + u["b_re"] + 1j * u["b_im"]
        return (z.real, z.imag), (z.real, z.imag)

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        return ops.linear_recurrence((x["a_re"], x["a_im"]), (x["b_re"], x["b_im"]), state, **how)

    return Op(
        run=run,
        draw=draw,
        state=lambda rng: (normal(rng, WIDTH), normal(rng, WIDTH)),
        step=step,
        constant=("a_re", "a_im") if constant else (),
    )


# --- matrix memories -------------------------------------------------------------------------------


def _heads(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
    k = unit(normal(rng, length, HEADS, KEYS))
    return {
        "q": normal(rng, length, HEADS, KEYS),
        "k": k,
        "v": normal(rng, length, HEADS, VALUES),
    }


def _linear_attention(decay: str | None, normalise: bool = False) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        x = _heads(rng, length)
        if normalise:
            x = {**x, "q": np.abs(x["q"]) + 0.1, "k": np.abs(x["k"]) + 0.1}
        if decay:
            shape = (length, HEADS, KEYS) if decay == "channel" else (length, HEADS)
            x["g"] = -np.abs(normal(rng, *shape))
        return x

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        S, z = h if normalise else (h, None)
        if decay:
            a = np.exp(u["g"]) if decay == "channel" else np.exp(u["g"])[:, None]
            S, z = S * a[..., None], z * a if normalise else None
        S = S + np.einsum("hk,hv->hkv", u["k"], u["v"])
        out = np.einsum("hkv,hk->hv", S, 0.5 * u["q"])
        if not normalise:
            return S, out
        z = z + u["k"]
        return (S, z), out / (np.einsum("hk,hk->h", z, 0.5 * u["q"])[:, None] + 1e-10)

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        how = {"normalise": normalise, "scale": 0.5, **how}
        return ops.linear_attention(x["q"], x["k"], x["v"], x.get("g"), state, **how)

    def state(rng: np.random.Generator) -> Any:
        S = normal(rng, HEADS, KEYS, VALUES)
        return (S, 1 + np.abs(normal(rng, HEADS, KEYS))) if normalise else S

    return Op(run=run, draw=draw, state=state, step=step)


def _delta_rule(decay: str | None) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        x = _heads(rng, length)
        x["beta"] = rng.uniform(0, 2, (BATCH, length, HEADS))
        shape = (length, HEADS, KEYS) if decay == "channel" else (length, HEADS)
        return {**x, "g": -np.abs(normal(rng, *shape))} if decay else x

    def step(S: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        outer = u["beta"][:, None, None] * np.einsum("hk,hl->hkl", u["k"], u["k"])
        a = np.exp(u["g"]).reshape(HEADS, -1, 1) if decay else 1.0
        S = np.einsum("hkl,hlv->hkv", np.eye(KEYS) - outer, a * S)
        S = S + u["beta"][:, None, None] * np.einsum("hk,hv->hkv", u["k"], u["v"])
        return S, np.einsum("hkv,hk->hv", S, 0.5 * u["q"])

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        how = {"scale": 0.5, **how}
        return ops.delta_rule(x["q"], x["k"], x["v"], x["beta"], x.get("g"), state, **how)

    return Op(run=run, draw=draw, state=lambda rng: normal(rng, HEADS, KEYS, VALUES), step=step)


# --- windows ---------------------------------------------------------------------------------------


def _filled(rng: np.random.Generator, size: int) -> np.ndarray:
    """How a run leaves a window: the places that are not filled come first."""
    return np.arange(size) >= rng.integers(0, size + 1, (BATCH, 1))


def _rotate(x: np.ndarray, position: float) -> np.ndarray:
    half = x.shape[-1] // 2
    z = x[..., :half] + 1j * x[..., half:]
    z = z * np.exp(1j * position * 10000.0 ** (-np.arange(half) / half))
    return np.concatenate([z.real, z.imag], axis=-1)


def _window_attention(position: str | None, window: int = WINDOW) -> Op:
    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        k, v, filled = (
            np.concatenate([old[1:], np.asarray(new)[None]])
            for old, new in zip(h, (u["k"], u["v"], True), strict=True)
        )
        out = np.zeros((HEADS, VALUES))
        for head in range(HEADS):
            ages = [window - 1 - i for i in range(window) if filled[i]]  # 0 is the newest
            scores = []
            for age in ages:
                key, query = k[window - 1 - age, head], u["q"][head]
                key = _rotate(key, -age) if position == "rope" else key
                bias = 2.0 ** (-8 * (head + 1) / HEADS) * age if position == "alibi" else 0
                scores.append(query @ key / np.sqrt(KEYS) - bias)
            weights = np.exp(scores) / np.sum(np.exp(scores))
            out[head] = sum(w * v[window - 1 - age, head] for w, age in zip(weights, ages))  # noqa: B905
        return (k, v, filled), out

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        how = {"position": position, **how}
        return ops.window_attention(x["q"], x["k"], x["v"], window, state, **how)

    def state(rng: np.random.Generator) -> Any:
        filled = _filled(rng, window)
        k, v = normal(rng, window, HEADS, KEYS), normal(rng, window, HEADS, VALUES)
        return (k * filled[..., None, None], v * filled[..., None, None], filled)

    return Op(run=run, draw=_heads, state=state, step=step)


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

    return Op(
        run=lambda x, state, **how: ops.causal_convolution(x["x"], x["kernel"], state, **how),
        draw=draw,
        state=state,
        step=step,
        constant=("kernel",),
    )


OPS: dict[str, Op] = {
    "recurrence": _real(constant=False),
    "recurrence_constant": _real(constant=True),
    "complex": _complex(constant=False),
    "complex_constant": _complex(constant=True),
    "attention": _linear_attention(None),
    "attention_decay": _linear_attention("head"),
    "attention_channel_decay": _linear_attention("channel"),
    "attention_normalised": _linear_attention(None, normalise=True),
    "attention_normalised_decay": _linear_attention("head", normalise=True),
    "delta": _delta_rule(None),
    "gated_delta": _delta_rule("head"),
    "channel_gated_delta": _delta_rule("channel"),
    "window": _window_attention(None),
    "window_rope": _window_attention("rope"),
    "window_alibi": _window_attention("alibi"),
    "window_of_one": _window_attention(None, window=1),
    "convolution": _convolution(4),
    "convolution_of_two": _convolution(2),
}
