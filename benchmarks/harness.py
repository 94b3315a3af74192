"""Two implementations of the same work, compared in one process: values first, then time and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

BLOCKS, PER_BLOCK = 3, 3


@dataclass(frozen=True)
class Side:
    """One implementation: seconds per call, seconds to compile, bytes of temporaries."""

    seconds: float
    compile_seconds: float
    temporaries: int


@dataclass(frozen=True)
class Row:
    """A comparison; ratios are theirs over ours."""

    name: str
    ours: Side
    theirs: Side

    def __str__(self) -> str:
        a, b = self.ours, self.theirs
        return (
            f"| {self.name} | {b.seconds / a.seconds:.0f}x | {1e3 * a.seconds:.1f} | "
            f"{1e3 * b.seconds:.0f} | {b.compile_seconds / a.compile_seconds:.0f}x | "
            f"{b.temporaries / a.temporaries:.0f}x |"
        )


HEADER = (
    "| forward and gradient | faster | ours, ms | theirs, ms | compiles faster | less temporary memory |\n"
    "|---|---|---|---|---|---|"
)


def value_and_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """``args -> (output, gradients of sum(sin(output)))``."""

    def loss(args: Any) -> Any:
        out = f(*args)
        return jnp.sum(jnp.sin(out)), out

    def run(*args: Any) -> Any:
        (_, out), gradients = jax.value_and_grad(loss, has_aux=True)(args)
        return out, gradients

    return run


def compare(
    name: str, ours: Callable[..., Any], theirs: Callable[..., Any], args: tuple[Any, ...],
    tolerance: float = 1e-3,
) -> Row:  # fmt: skip
    """Forward plus gradient of both: the same numbers, then medians of blocks A B A B.

    The first call of a block is dropped: a run that frees much memory slows the next one, whoever's
    it is. ``tolerance`` is relative to ``max(1, largest number)``; both sides are float32.
    """
    compiled = [_compile(value_and_gradient(f), args) for f in (ours, theirs)]
    _agree(name, *(run(*args) for run, _, _ in compiled), tolerance)
    seconds: list[list[float]] = [[], []]
    for _ in range(BLOCKS):
        for side, (run, _, _) in zip(seconds, compiled, strict=True):
            side += [_time(run, args) for _ in range(PER_BLOCK + 1)][1:]
    sides = [
        Side(statistics.median(s), compile_seconds, temporaries)
        for s, (_, compile_seconds, temporaries) in zip(seconds, compiled, strict=True)
    ]
    return Row(name, *sides)


def _compile(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, float, int]:
    lowered = jax.jit(f).lower(*args)
    begin = time.perf_counter()
    run = lowered.compile()
    seconds = time.perf_counter() - begin
    return run, seconds, run.memory_analysis().temp_size_in_bytes


def _time(run: Callable[..., Any], args: tuple[Any, ...]) -> float:
    begin = time.perf_counter()
    jax.block_until_ready(run(*args))
    return time.perf_counter() - begin


def _agree(name: str, a: Any, b: Any, tolerance: float) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        error = np.max(np.abs(x - y)) / max(1.0, np.max(np.abs(y)))
        if not error <= tolerance:
            raise AssertionError(f"{name}: the two sides differ by {error:.1e}")
