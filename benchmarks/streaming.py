"""Growth with T: rules streamed in blocks that carry the state, up to a million tokens."""

from __future__ import annotations

import functools
import gc
import resource
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
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
RULES = ("linear_attention", "delta_rule", "linear_recurrence", "window_attention")


def jobs(n: Sizes, effort: Effort, quick: bool) -> Iterator[Job]:
    """Forward, and forward with the gradient of each block (truncated at its border)."""
    lengths = (64, 512) if quick else LENGTHS
    for rule in RULES:
        for gradient in (False, True):
            for length in lengths:
                block = min(length, 256 if quick else BLOCK)
                m = replace(n, batch=1, length=block)
                mode = "forward and gradient" if gradient else "forward"
                row = {"rule": rule, "mode": mode, "length": length, "block": block}

                def run(rule: str = rule, gradient: bool = gradient, m: Any = m, t: int = length):
                    return stream(rule, gradient, m, t // m.length, effort.blocks)

                yield Job(f"{rule} {mode} T={length}", run, {**row, "sizes": asdict(m)})


@functools.cache
def block_program(rule: str, gradient: bool, n: Sizes) -> tuple[Any, Any, Any]:
    """``(state, args) -> (state, out)`` of one block, compiled, an empty state, and ``args``."""
    f, args, options = inputs(np.random.default_rng(0), n)[rule]
    args = jax.tree.map(jnp.asarray, args)
    empty = jax.tree.map(jnp.zeros_like, f(*args, **options)[0])

    def forward(state: Any, args: Any) -> Any:
        return f(*args, state=state, **options)

    def with_gradient(state: Any, args: Any) -> Any:
        def loss(args: Any) -> Any:
            after, out = forward(state, args)
            return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(out)), after

        gradients, after = jax.grad(loss, has_aux=True)(args)
        return after, gradients

    step = jax.jit(with_gradient if gradient else forward)
    return step.lower(empty, args).compile(), empty, args


def stream(rule: str, gradient: bool, n: Sizes, blocks: int, repeats: int) -> dict[str, Any]:
    """Time per token and growth of memory over ``blocks`` blocks, each of which reads the same inputs."""
    step, empty, args = block_program(rule, gradient, n)

    def run(state: Any) -> Any:
        return jax.block_until_ready(step(state, args))[0]

    # Short streams are repeated more often.
    repeats = max(repeats, min(10 * repeats, 64 // blocks))
    totals, growths = [], []
    for _ in range(repeats):
        gc.collect()
        run(empty)
        before, most, state = memory_in_use(), 0, empty
        begin = time.perf_counter()
        for _ in range(blocks):
            state = run(state)
            most = max(most, memory_in_use() or 0)
        totals.append(time.perf_counter() - begin)
        growths.append(None if before is None else most - before)
    seconds = statistics.median(totals)
    return {
        "seconds": seconds,
        "seconds_per_token": seconds / (blocks * n.length),
        "temporaries": step.memory_analysis().temp_size_in_bytes,
        # The smallest of the repeats: what another thread allocated meanwhile is not growth.
        "growth": None if None in growths else min(growths),
    }


def memory_in_use() -> int | None:
    """Bytes: of the device where it counts them, else resident in this process (Linux)."""
    stats = jax.devices()[0].memory_stats()
    if stats:
        return stats["bytes_in_use"]
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else None
