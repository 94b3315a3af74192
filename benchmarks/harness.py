"""Programs compiled, timed and compared in one process: values first, then time and memory."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Effort:
    """How long to measure: blocks of runs, each of about ``seconds``, within ``least`` and ``most``."""

    blocks: int = 3
    seconds: float = 0.5
    least: int = 3
    most: int = 30


COMPILED_AGAIN = 5.0
"""Seconds below which a compilation is timed three times, for the median."""

# There are hundreds of programs in some groups: shorter runs.
SHORT = Effort(blocks=2, seconds=0.3, least=2)
QUICK = Effort(blocks=1, seconds=0.0, least=1, most=1)


@dataclass(frozen=True)
class Program:
    """Something to run again and again; None where nothing is compiled or counted."""

    run: Callable[[], Any]
    compile_seconds: float | None = None
    temporaries: int | None = None


@dataclass(frozen=True)
class Side:
    """One program, measured: seconds per run, seconds to compile, bytes of temporaries."""

    seconds: float
    compile_seconds: float | None
    temporaries: int | None


@dataclass(frozen=True)
class Pair:
    """The same work done by memcore and by somebody else.

    ``ours`` and ``theirs`` are functions of arrays, or a `Program` that gives ``(out, gradients)``.
    Without ``their_args`` both get ``args``, and all gradients are compared. With them, the last argument is
    the input and its gradient is compared. ``theirs_like_ours`` brings their arrays into our layout.
    ``same`` is false where the other side computes something else, which ``note`` then says.
    """

    name: str
    ours: Any
    theirs: Any
    args: tuple[Any, ...]
    their_args: tuple[Any, ...] | None = None
    theirs_like_ours: Callable[[Any], Any] = lambda x: x
    same: bool = True
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A pair, measured; ratios are theirs over ours."""

    name: str
    ours: Side
    theirs: Side
    same: bool = True
    note: str = ""


class Different(AssertionError):
    """The two sides of a pair do not compute the same numbers."""


def forward_and_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """``args -> (output, gradients of half the sum of its squares)``; the output is any tree.

    The loss costs next to nothing: sines of all outputs took longer than many a recurrence.
    """

    def loss(args: Any) -> Any:
        out = f(*args)
        return 0.5 * sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(out)), out

    def run(*args: Any) -> Any:
        (_, out), gradients = jax.value_and_grad(loss, has_aux=True)(args)
        return out, gradients

    return run


def compiled(f: Callable[..., Any], args: tuple[Any, ...], once: bool = False) -> Program:
    """``f(*args)`` on JAX's default device; ``once`` where nobody asks how long compiling takes."""
    run, seconds = _compile(f, args)
    if seconds is not None and seconds < COMPILED_AGAIN and not once:
        # What else the machine does for a moment weighs much in so short a time.
        seconds = statistics.median([seconds, *(_compile(f, args)[1] for _ in range(2))])
    return _program(run, args, seconds)


def compiled_in_turns(
    sides: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], rounds: int
) -> list[Program]:
    """Several functions with their arguments, each compiled once a round: the median."""
    rounds = 1 if _ahead is not None else rounds
    found = [[_compile(f, args) for f, args in sides] for _ in range(rounds)]
    return [
        _program(of_side[-1][0], args, _median([seconds for _, seconds in of_side]))
        for (_, args), of_side in zip(sides, zip(*found, strict=True), strict=True)
    ]


class CompiledOnly(Exception):
    """A job whose programs were to be compiled, and not run."""


_ahead: list[Any] | None = None
"""Programs that are compiled already, in their order; while they are, `_compiling` is set."""
_compiling = False


def compiled_ahead(job: Callable[[], Any]) -> list[Any]:
    """The programs that a job compiles before it runs the first; the error in place of one that does not
    compile, which `with_programs` then raises."""
    global _ahead, _compiling
    _ahead, _compiling = [], True
    try:
        with jax.default_device(jax.devices("cpu")[0]):
            job()
    except Exception as error:
        if not isinstance(error, CompiledOnly):
            _ahead.append(error)
    finally:
        programs, _ahead, _compiling = _ahead, None, False
    return programs


def with_programs(programs: list[Any], job: Callable[[], Any]) -> Any:
    """What a job returns, with its programs from `compiled_ahead`."""
    global _ahead
    _ahead = programs
    try:
        with jax.default_device(jax.devices("cpu")[0]):
            return job()
    finally:
        _ahead = None


def _median(seconds: list[float | None]) -> float | None:
    known = [x for x in seconds if x is not None]
    return statistics.median(known) if known else None


def _program(run: Any, args: tuple[Any, ...], seconds: float | None) -> Program:
    args = jax.device_put(args, jax.devices()[0]) if _ahead is not None else args
    memory = run.memory_analysis()
    temporaries = None if memory is None else memory.temp_size_in_bytes
    return Program(lambda: _run(run, args), seconds, temporaries)


def _run(run: Any, args: tuple[Any, ...]) -> Any:
    if _compiling:
        raise CompiledOnly
    return jax.block_until_ready(run(*args))


def _compile(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, float | None]:
    if _ahead is not None:
        if not _compiling:
            program = _ahead.pop(0)
            if isinstance(program, Exception):
                raise program
            return program, None
        with jax.default_device(jax.devices()[0]):
            _ahead.append(jax.jit(f).lower(*args).compile())
        return _ahead[-1], None
    jax.clear_caches()
    lowered = jax.jit(f).lower(*args)
    begin = time.perf_counter()
    return lowered.compile(), time.perf_counter() - begin


def measure(programs: Sequence[Program], effort: Effort) -> list[Side]:
    """Medians of runs in blocks A B A B.

    The first run of a block is dropped: a run that frees much memory slows the next one, whoever's
    it is.
    """
    counts = []
    for program in programs:
        program.run()
        wanted = math.ceil(effort.seconds / max(_seconds(program), 1e-9))
        counts.append(min(max(wanted, effort.least), effort.most))
    seconds: list[list[float]] = [[] for _ in programs]
    for _ in range(effort.blocks):
        for program, count, kept in zip(programs, counts, seconds, strict=True):
            kept += [_seconds(program) for _ in range(count + 1)][1:]
    return [
        Side(statistics.median(kept), program.compile_seconds, program.temporaries)
        for program, kept in zip(programs, seconds, strict=True)
    ]


def _seconds(program: Program) -> float:
    begin = time.perf_counter()
    program.run()
    return time.perf_counter() - begin


def tolerance() -> float:
    """Relative to ``max(1, largest number)``: float32, with matmuls of 10 bits on a GPU."""
    return 1e-3 if jax.default_backend() == "cpu" else 2e-2


def compare(pair: Pair, effort: Effort = QUICK) -> Row:
    """Forward plus gradient of both sides: the same numbers, then the time; compiled and run in turns.

    Raises:
        Different: the numbers differ by more than `tolerance`.
    """
    theirs_args = pair.args if pair.their_args is None else pair.their_args
    sides = [(pair.ours, pair.args), (pair.theirs, theirs_args)]
    functions = [(forward_and_gradient(f), x) for f, x in sides if not isinstance(f, Program)]
    made = iter(compiled_in_turns(functions, effort.blocks))
    ours, theirs = (f if isinstance(f, Program) else next(made) for f, _ in sides)
    if pair.same:
        (out, gradients), (other, others) = ours.run(), theirs.run()
        if pair.their_args is not None:
            gradients, others = gradients[-1], others[-1]
        agree(pair.name, (out, gradients), pair.theirs_like_ours((other, others)))
    return Row(pair.name, *measure([ours, theirs], effort), pair.same, pair.note)


def agree(name: str, a: Any, b: Any) -> None:
    """Raise `Different` unless two trees hold the same numbers."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        if x.shape != y.shape:
            raise Different(f"{name}: the two sides have shapes {x.shape} and {y.shape}")
        error = np.max(np.abs(x - y)) / max(1.0, np.max(np.abs(y)))
        if not error <= tolerance():
            raise Different(f"{name}: the two sides differ by {error:.1e}")
