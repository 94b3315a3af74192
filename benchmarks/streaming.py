"""Growth with T: rules streamed in blocks that carry the state, up to a million tokens."""

from __future__ import annotations

import gc
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from harness import Effort
from jobs import Job
from methods import inputs
from sizes import Sizes

BLOCK = 4096
LENGTHS = tuple(4**e for e in range(4, 11))  # 256 to 1,048,576
TURNS = 40
RULES = ("linear_attention", "delta_rule", "linear_recurrence", "window_attention")


def jobs(n: Sizes, effort: Effort, quick: bool) -> Iterator[Job]:
    """Forward, and forward with the gradient of each block (truncated at its border)."""
    lengths, block = ((64, 256, 1024), 256) if quick else (LENGTHS, BLOCK)
    for rule in RULES:
        for gradient in (False, True):
            mode = "forward and gradient" if gradient else "forward"
            # The first row measures for all lengths.
            turns = 3 if quick else TURNS
            measured = cache(partial(streams, rule, gradient, n, lengths, block, turns))
            for length in lengths:
                m = sizes_of(n, length, block)
                row = {"rule": rule, "mode": mode, "length": length, "block": m.length}

                def run(length: int = length, measured: Any = measured) -> dict[str, Any]:
                    return measured()[length]

                yield Job(f"{rule} {mode} T={length}", run, {**row, "sizes": asdict(m)})


def sizes_of(n: Sizes, length: int, block: int) -> Sizes:
    """Of a block of one sequence; a sequence shorter than ``block`` is one block."""
    return replace(n, batch=1, length=min(length, block))


@dataclass(frozen=True)
class Block:
    """``run(state)`` reads one block, always the same, and gives the state behind it."""

    run: Callable[[Any], Any]
    empty: Any
    temporaries: int


@cache
def block_program(rule: str, gradient: bool, n: Sizes) -> Block:
    """One block of n steps, compiled, forward or forward and gradient."""
    f, args, options = inputs(np.random.default_rng(0), n)[rule]
    args = jax.tree.map(jnp.asarray, args)
    empty = jax.tree.map(jnp.zeros_like, f(*args, **options)[0])

    def forward(state: Any, args: Any) -> Any:
        return f(*args, state=state, **options)

    def with_gradient(state: Any, args: Any) -> Any:
        def loss(args: Any) -> Any:
            after, out = forward(state, args)
            return 0.5 * sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(out)), after

        gradients, after = jax.grad(loss, has_aux=True)(args)
        return after, gradients

    step = jax.jit(with_gradient if gradient else forward).lower(empty, args).compile()
    run = lambda state: jax.block_until_ready(step(state, args))[0]  # noqa: E731
    return Block(run, empty, step.memory_analysis().temp_size_in_bytes)


def streams(
    rule: str, gradient: bool, n: Sizes, lengths: Sequence[int], block: int, turns: int
) -> dict[int, dict[str, Any]]:
    """By length: seconds, seconds per token at the stream's end, and growth of memory.

    The longest stream is read once, from its first block to its last. Then the last block of every length
    is timed from the state in which the stream came there, in turns A B C A B C: a machine that is faster at
    one time than at another is so for all lengths. Streams of whole blocks, which all run the same program,
    take turns among themselves.
    """
    programs = {t: block_program(rule, gradient, sizes_of(n, t, block)) for t in lengths}
    long = read(programs[max(lengths)], [t // block for t in lengths if t >= block])
    before = {t: long.before[t // block] if t > block else programs[t].empty for t in lengths}
    at_end: dict[int, float] = {}
    for whole in (False, True):
        runs = {t: partial(programs[t].run, before[t]) for t in lengths if (t >= block) == whole}
        at_end |= in_turns(runs, turns)
    return {
        t: {
            "seconds": sum(long.seconds[: t // block]) if t > block else at_end[t],
            "seconds_per_token": at_end[t] / min(t, block),
            "temporaries": programs[t].temporaries,
            "growth": long.growth(t // block) if t >= block else None,
        }
        for t in lengths
    }


def in_turns(runs: dict[int, Callable[[], Any]], turns: int) -> dict[int, float]:
    """The median seconds of each; each round begins with another one."""
    seconds: dict[int, list[float]] = {name: [] for name in runs}
    order = list(runs)
    for run in runs.values():
        run()
    for _ in range(turns):
        for name in order:
            begin = time.perf_counter()
            runs[name]()
            seconds[name].append(time.perf_counter() - begin)
        order = [*order[1:], *order[:1]]
    return {name: statistics.median(kept) for name, kept in seconds.items()}


@dataclass(frozen=True)
class Read:
    """A stream that was read once: of each block, the seconds and the bytes in use behind it.

    ``before`` holds some states, by the number of their block, counted from 1; ``memory`` begins before the
    first block.
    """

    before: dict[int, Any]
    seconds: list[float]
    memory: list[int | None]

    def growth(self, blocks: int) -> int | None:
        """The most bytes in use within the first ``blocks`` blocks, less those before them."""
        seen = self.memory[: blocks + 1]
        return None if None in seen else max(seen) - seen[0]


def read(block: Block, keep: Sequence[int]) -> Read:
    """The stream up to the last block in ``keep``, once, after one block that does not count."""
    block.run(block.empty)
    gc.collect()
    long, state = Read({}, [], [memory_in_use()]), block.empty
    for number in range(1, max(keep) + 1):
        if number in keep:
            long.before[number] = state
        begin = time.perf_counter()
        state = block.run(state)
        long.seconds.append(time.perf_counter() - begin)
        long.memory.append(memory_in_use())
    return long


def memory_in_use() -> int | None:
    """Bytes: of the device where it counts them, else resident in this process (Linux)."""
    stats = jax.devices()[0].memory_stats()
    if stats:
        return stats["bytes_in_use"]
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else None
