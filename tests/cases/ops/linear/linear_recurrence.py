"""Diagonal linear recurrences: real, complex, and in 2x2 blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    BATCH,
    WIDTH,
    Op,
    Rule,
    X,
    normal,
)
from memcore import ops
from memcore.ops.linear.linear_recurrence import LinearRecurrence

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


RULE = Rule(
    cases={
        "linear_recurrence": _real(constant=False),
        "linear_recurrence_constant": _real(constant=True),
        "linear_recurrence_scalar": _real(constant=False, width=1),
        "linear_recurrence_scalar_constant": _real(constant=True, width=1),
        "linear_recurrence_complex": _complex(constant=False),
        "linear_recurrence_complex_constant": _complex(constant=True),
        "linear_recurrence_complex_scalar": _complex(constant=False, width=1),
        "linear_recurrence_complex_scalar_constant": _complex(constant=True, width=1),
        "linear_recurrence_block": _block(constant=False),
        "linear_recurrence_block_constant": _block(constant=True),
        "linear_recurrence_block_scalar": _block(constant=False, width=1),
    },
    arrays={"a": X, "b": X},
    told_by="b",
    golden=(
        "s4d_zoh",
        "s4d_bilinear",
        "s5_zoh",
        "s5_bilinear",
        "mamba_selective_scan",
        "mingru",
        "minlstm",
        "rglru",
        "rglru_reset",
        "lru",
        "memax_lru",
        "hgrn",
        "qrnn_fo_pool",
        "memax_linear_recurrent",
    ),
    wrong={
        "a": (lambda: ops.linear_recurrence(np.ones(4), X), r"^a has shape \(4,\), expected"),
        "a_time": (
            lambda: ops.linear_recurrence(X[:, :2], X),
            r"^a has shape \(2, 2, 3\), expected",
        ),
        "b": (lambda: ops.linear_recurrence(X[0, 0], X[0, 0]), r"^b has shape \(3,\), expected"),
        "b_dtype": (
            lambda: ops.linear_recurrence(np.ones(3), np.ones((5, 3), int)),
            r"^b has dtype",
        ),
        "none_in_a_pair": (lambda: ops.linear_recurrence((X, X), (None, None)), r"^b is a tuple"),
        "pairs": (lambda: ops.linear_recurrence((X, X), X), r"a .*pair|pair.* a"),
        "a_dtype": (lambda: ops.linear_recurrence(1, X), r"^a has dtype int64, expected floating"),
        "a_axes": (
            lambda: ops.linear_recurrence(X[None], X),
            r"^a has shape \(1, 2, 5, 3\), expected",
        ),
        "a_block": (
            lambda: ops.linear_recurrence(((X, X), (X,)), (X, X)),
            r"^a is a tuple of shapes .*expected",
        ),
        "a_pair": (
            lambda: ops.linear_recurrence((X, X[0]), (X, X)),
            r"^a is a tuple of shapes .*expected a pair",
        ),
        "b_triple": (
            lambda: ops.linear_recurrence((X, X), (X, X, X)),
            r"^b is a tuple of shapes .*expected a pair",
        ),
        "b_block": (
            lambda: ops.linear_recurrence((X, X), ((X, X), (X, X))),
            r"^b is a tuple of shapes .*expected",
        ),
        "reverse_starts": (
            lambda: ops.linear_recurrence(X, X, starts=np.zeros((2, 4), bool), reverse=True),
            r"^starts has shape \(2, 4\), expected \(2, 5\)",
        ),
        "reverse_valid": (
            lambda: ops.linear_recurrence(X, X, valid=np.full((2, 5), 0.5), reverse=True),
            r"^valid has the value 0.5, expected only 0 and 1",
        ),
        "reverse_state": (
            lambda: ops.linear_recurrence(X, X, X, reverse=True),
            r"^state has shape \(2, 5, 3\), expected \(2, 3\)",
        ),
        "reverse_method": (
            lambda: ops.linear_recurrence(X, X, method="foo", reverse=True),
            r"^method is 'foo', expected one of",
        ),
    },
)
