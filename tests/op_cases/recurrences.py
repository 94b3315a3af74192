"""Linear recurrences."""

from __future__ import annotations

from typing import Any

import numpy as np

from memcore import ops
from memcore.ops.linear.dense_recurrence import DenseRecurrence
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from op_cases.base import BATCH, WIDTH, Op, normal

ENTRIES = ("a00", "a01", "a10", "a11")


def _real(constant: bool, width: int = WIDTH) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        shape = (width,) if constant else (BATCH, length, width)
        return {"a": rng.uniform(-1, 1, shape), "b": normal(rng, length, WIDTH)}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        h = u["a"] * h + u["b"]
        return h, h

    return Op(
        run=lambda x, state, **how: ops.linear_recurrence(x["a"], x["b"], state, **how),
        draw=draw,
        state=lambda rng: normal(rng, WIDTH),
        step=step,
        rule=None if constant else lambda x: (LinearRecurrence(), {"a": x["a"], "b": x["b"]}),
        constant=("a",) if constant else (),
    )


def _complex(constant: bool, width: int = WIDTH) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        shape = (width,) if constant else (BATCH, length, width)
        a = rng.uniform(0.2, 1, shape) * np.exp(1j * rng.uniform(-3, 3, shape))
        b = normal(rng, length, WIDTH), normal(rng, length, WIDTH)
        return {"a_re": a.real, "a_im": a.imag, "b_re": b[0], "b_im": b[1]}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        z = (u["a_re"] + 1j * u["a_im"]) * (h[0] + 1j * h[1]) + u["b_re"] + 1j * u["b_im"]
        return (z.real, z.imag), (z.real, z.imag)

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        return ops.linear_recurrence((x["a_re"], x["a_im"]), (x["b_re"], x["b_im"]), state, **how)

    def rule(x: Any) -> tuple[Any, Any]:
        pairs = {"a": (x["a_re"], x["a_im"]), "b": (x["b_re"], x["b_im"])}
        return LinearRecurrence(), pairs

    return Op(
        run=run,
        draw=draw,
        state=lambda rng: (normal(rng, WIDTH), normal(rng, WIDTH)),
        step=step,
        rule=None if constant else rule,
        constant=("a_re", "a_im") if constant else (),
    )


def _block(constant: bool, width: int = WIDTH) -> Op:
    """In 2x2 blocks."""

    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        shape = (width,) if constant else (BATCH, length, width)
        a = {name: rng.uniform(-0.6, 0.6, shape) for name in ENTRIES}
        return {"b0": normal(rng, length, WIDTH), "b1": normal(rng, length, WIDTH), **a}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        new = np.zeros((2, WIDTH))
        for n in range(WIDTH):
            entries = [u[name][n % width] for name in ENTRIES]
            matrix = np.reshape(entries, (2, 2))
            new[:, n] = matrix @ [h[0][n], h[1][n]] + [u["b0"][n], u["b1"][n]]
        return (new[0], new[1]), (new[0], new[1])

    def parts(x: Any) -> tuple[Any, Any]:
        return ((x["a00"], x["a01"]), (x["a10"], x["a11"])), (x["b0"], x["b1"])

    return Op(
        run=lambda x, state, **how: ops.linear_recurrence(*parts(x), state, **how),
        draw=draw,
        state=lambda rng: (normal(rng, WIDTH), normal(rng, WIDTH)),
        step=step,
        rule=None if constant else lambda x: (LinearRecurrence(), dict(zip(("a", "b"), parts(x)))),  # noqa: B905
        constant=ENTRIES if constant else (),
    )


def _dense(constant: bool) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        shape = (WIDTH, WIDTH) if constant else (BATCH, length, WIDTH, WIDTH)
        return {"b": normal(rng, length, WIDTH), "a": 0.5 * rng.standard_normal(shape)}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        h = u["a"] @ h + u["b"]
        return h, h

    return Op(
        run=lambda x, state, **how: ops.dense_recurrence(x["a"], x["b"], state, **how),
        draw=draw,
        state=lambda rng: normal(rng, WIDTH),
        step=step,
        rule=None if constant else lambda x: (DenseRecurrence(), {"a": x["a"], "b": x["b"]}),
        constant=("a",) if constant else (),
    )


def _rotations() -> Op:
    """In 3 dimensions, which have 3 angles: h turns about an axis, by Rodrigues' formula."""

    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        return {"angles": 2 * normal(rng, length, 3)}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        x, y, z = u["angles"]
        skew = np.array([[0, x, y], [-x, 0, z], [-y, -z, 0]])
        angle = np.linalg.norm(u["angles"])
        turn = np.sin(angle) / angle * skew + (1 - np.cos(angle)) / angle**2 * skew @ skew
        h = h + turn @ h
        return h, h

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        return ops.dense_recurrence(ops.rotation(x["angles"]), 0 * x["angles"], state, **how)

    return Op(run=run, draw=draw, state=lambda rng: normal(rng, 3), step=step)


OPS: dict[str, Op] = {
    "recurrence": _real(constant=False),
    "recurrence_constant": _real(constant=True),
    "recurrence_scalar": _real(constant=False, width=1),
    "recurrence_scalar_constant": _real(constant=True, width=1),
    "complex": _complex(constant=False),
    "complex_constant": _complex(constant=True),
    "complex_scalar": _complex(constant=False, width=1),
    "complex_scalar_constant": _complex(constant=True, width=1),
    "block": _block(constant=False),
    "block_constant": _block(constant=True),
    "block_scalar": _block(constant=False, width=1),
    "dense": _dense(constant=False),
    "dense_constant": _dense(constant=True),
    "rotation": _rotations(),
}
