"""Time over several devices: what is sent, what a device computes, and what the second pass costs.

    python benchmarks/parallel.py

Simulates 1, 2, 4 and 8 devices on this machine's cores, which gain nothing from it: bytes and work per device
are what the table is about. Writes the part *Measured* of the page on many devices.
"""

from __future__ import annotations

import math
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # compiling is measured

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

import memcore
from memcore import parallel

PAGE = Path(__file__).parents[1] / "docs" / "parallel.md"
PART = "## Measured\n"
BATCH, LENGTH, WIDTH = 2, 4096, 64
DEVICES = (1, 2, 4, 8)
MODELS = {
    "LRU": memcore.LRU(WIDTH),
    "LinearAttention": memcore.LinearAttention(WIDTH, heads=4),
    "Mamba": memcore.Mamba(WIDTH),
    "GatedDeltaNet": memcore.GatedDeltaNet(WIDTH, heads=4),
    "Attention, window 64": memcore.Attention(WIDTH, heads=4, window=64),
}
SIZES = {"f32": 4, "s32": 4, "u32": 4, "c64": 8, "pred": 1, "s8": 1}
SENT = re.compile(r"= (\S.*?) (?:all-gather|all-reduce|collective-permute)(?:-start)?\(")


def on(devices: int, model: memcore.Model) -> Callable[..., Any]:
    mesh = jax.make_mesh((devices,), ("time",), axis_types=(jax.sharding.AxisType.Auto,))
    pieces = P(None, "time")

    def piece(params: Any, xs: Any, starts: Any) -> Any:
        return parallel.apply(model, params, xs, starts=starts, axis_name="time")

    split = jax.shard_map(piece, mesh=mesh, in_specs=(P(), pieces, pieces), out_specs=(P(), pieces))
    return jax.jit(split)


def compiled(run: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    lowered, began = run.lower(*args), time.perf_counter()
    return lowered.compile(), time.perf_counter() - began


def received(program: Any) -> int:
    """Bytes that a device holds after the collectives of a program."""
    shapes = [
        s
        for line in SENT.findall(program.as_text())
        for s in re.findall(r"(\w+)\[([\d,]*)\]", line)
    ]
    return sum(
        SIZES[kind] * math.prod(int(n) for n in axes.split(",") if n) for kind, axes in shapes
    )


def medians(*programs: Callable[[], Any]) -> list[float]:
    """Seconds of the processor for each, in turns: of both cores together."""
    times: list[list[float]] = [[] for _ in programs]
    for _ in range(7):
        for run, found in zip(programs, times, strict=True):
            began = time.process_time()
            jax.block_until_ready(run())
            found.append(time.process_time() - began)
    return [statistics.median(found[1:]) for found in times]


def rows(name: str, model: memcore.Model) -> tuple[str, str]:
    params = jax.jit(model.init)(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (BATCH, LENGTH, WIDTH))
    args = (params, xs, jnp.zeros((BATCH, LENGTH), bool).at[:, ::1000].set(True))
    programs = {n: compiled(on(n, model), *args) for n in DEVICES}
    sent = [received(program) for program, _ in programs.values()]
    plain, plain_seconds = compiled(jax.jit(lambda p, x, s: model.apply(p, x, starts=s)), *args)
    apart, apart_seconds = programs[2]
    one, two = medians(lambda: plain(*args), lambda: apart(*args))
    state = sum(
        leaf.nbytes for leaf in jax.tree.leaves(memcore.initial_state(model, params, (BATCH,)))
    )
    moved = " | ".join(f"{n:,}" for n in sent[1:])
    return (
        f"| {name} | {state:,} | {moved} |",
        f"| {name} | {1e3 * one:.1f} | {1e3 * two:.1f} | {two / one:.2f} | {plain_seconds:.1f} "
        f"| {apart_seconds:.1f} |",
    )


def main() -> None:
    bytes_rows, time_rows = zip(*(rows(name, model) for name, model in MODELS.items()), strict=True)
    lines = [
        PART,
        f"By `python benchmarks/parallel.py`: {BATCH} sequences of {LENGTH:,} steps, width {WIDTH}, float32, "
        f"devices simulated on {os.cpu_count()} cores. Bytes of the state, and bytes that a device receives "
        "in a forward run (those of the program's collectives), which do not depend on the length:\n",
        "| model | state | 2 devices | 4 devices | 8 devices |",
        "|---|---|---|---|---|",
        *bytes_rows,
        f"\nSteps of a sequence on each device: {', '.join(f'{LENGTH // n:,} on {n}' for n in DEVICES)}. "
        "What the pass that makes elements costs: milliseconds of the processor, forward, in `apply` and in "
        "two pieces on two devices, and seconds to compile:\n",
        "| model | `apply` | in two pieces | ratio | compile | compile in pieces |",
        "|---|---|---|---|---|---|",
        *time_rows,
    ]
    text = PAGE.read_text().partition(PART)[0].rstrip("\n")
    PAGE.write_text(text + "\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
