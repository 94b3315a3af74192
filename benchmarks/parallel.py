"""Time over several devices: what is sent, what a device computes, and what the second pass costs.

    python benchmarks/parallel.py bytes
    python benchmarks/parallel.py times
    python benchmarks/parallel.py rounding
    python benchmarks/parallel.py sheet

Simulates devices on this machine's cores, which gain nothing from it: bytes and work per device are what the
tables are about. Each writes its table into the page on many devices; the sheet reads the ratios of `times`.
"""

from __future__ import annotations

import math
import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = (
    f"--xla_force_host_platform_device_count={64 if 'sheet' in sys.argv else 8}"
)
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # compiling is measured

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

import memcore
from memcore import parallel
from memcore.ops.matrix.linear_attention import LinearAttentionRule
from memcore.ops.rule import RulePart
from memcore.registry import lookup
from memcore.tasks import RepeatFirst, batches
from memcore.train import Config, OptimizerOptions, network, new_learner
from memcore.train.devices.placement import ONE_DEVICE, Placement, place

PAGE = Path(__file__).parents[1] / "docs" / "parallel.md"
MANY, LONG = 64, 1_000_000
"""Devices and steps of the sheet."""
BATCH, LENGTH, WIDTH = 2, 4096, 64
DEVICES = (1, 2, 4, 8)


@dataclass(frozen=True)
class HeadDecays(memcore.LinearAttention):
    """Linear attention with a decay for each head, as Mamba-2 has."""

    @property
    def rule(self) -> LinearAttentionRule:
        return LinearAttentionRule()

    def initial_state(self, params: Any) -> Any:
        return super().initial_state(params)[0]

    def embed(self, params: Any, x: Any) -> Any:
        u = super().embed(params, x)
        return {**u, "log_decay": jax.nn.log_sigmoid(jnp.mean(u["q"], axis=-1))}


MODELS = {
    "LRU": memcore.LRU(WIDTH),
    "LinearAttention": memcore.LinearAttention(WIDTH, heads=4),
    "LinearAttention, decays": HeadDecays(WIDTH, heads=4),
    "Mamba": memcore.Mamba(WIDTH),
    "GatedDeltaNet": memcore.GatedDeltaNet(WIDTH, heads=4),
    "Attention, window 64": memcore.Attention(WIDTH, heads=4, window=64),
    "GRU of 16, `newton`": memcore.GRU(WIDTH, hidden_size=16),
}
SHEET = {
    "`LinearAttention(256, heads=4)`": ("LinearAttention", memcore.LinearAttention(256, heads=4), "2"),
    "the same with a decay for each head (Mamba-2)": (
        "LinearAttention, decays", HeadDecays(256, heads=4), "2",
    ),
    "`GatedDeltaNet(256, heads=4)`": (
        "GatedDeltaNet", memcore.GatedDeltaNet(256, heads=4), "3, one of them for the transition",
    ),
    "`Attention(256, heads=4, window=512)`": (
        "Attention, window 64", memcore.Attention(256, heads=4, window=512), "1, and of its last 512 steps",
    ),
}  # fmt: skip
"""Which of the models above is of the same kind, the model, and how often a piece is run."""
SIZES = {"f32": 4, "s32": 4, "u32": 4, "c64": 8, "pred": 1, "s8": 1}
SENT = re.compile(r"= (\S.*?) (all-gather|all-reduce|collective-permute)(?:-start)?\(")


def method_of(name: str) -> str:
    return "newton" if "newton" in name else "auto"


def on(devices: int, model: memcore.Model, method: str) -> Callable[..., Any]:
    mesh = jax.make_mesh((devices,), ("time",), axis_types=(jax.sharding.AxisType.Auto,))
    pieces = P(None, "time")

    def piece(params: Any, xs: Any, starts: Any) -> Any:
        how = {"starts": starts, "axis_name": "time", "method": method}
        return parallel.apply(model, params, xs, **how)

    split = jax.shard_map(piece, mesh=mesh, in_specs=(P(), pieces, pieces), out_specs=(P(), pieces))
    return jax.jit(split)


def problem(model: memcore.Model) -> tuple[Any, ...]:
    params = jax.jit(model.init)(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (BATCH, LENGTH, WIDTH))
    return params, xs, jnp.zeros((BATCH, LENGTH), bool).at[:, ::1000].set(True)


def compiled(run: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    lowered, began = run.lower(*args), time.perf_counter()
    return lowered.compile(), time.perf_counter() - began


def received(program: Any) -> dict[str, int]:
    """Bytes that a device holds after the collectives of a program, of each kind."""
    found: dict[str, int] = {}
    for line, kind in SENT.findall(program.as_text()):
        for dtype, axes in re.findall(r"(\w+)\[([\d,]*)\]", line):
            numbers = math.prod(int(n) for n in axes.split(",") if n)
            found[kind] = found.get(kind, 0) + SIZES[dtype] * numbers
    return found


def state_bytes(model: memcore.Model, batch: tuple[int, ...] = ()) -> int:
    params = jax.eval_shape(model.init, jax.random.key(0))
    state = jax.eval_shape(lambda p: memcore.initial_state(model, p, batch), params)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def medians(*programs: Callable[[], Any]) -> list[float]:
    """Seconds of the processor for each, in turns: of both cores together."""
    times: list[list[float]] = [[] for _ in programs]
    for _ in range(7):
        for run, found in zip(programs, times, strict=True):
            began = time.process_time()
            jax.block_until_ready(run())
            found.append(time.process_time() - began)
    return [statistics.median(found[1:]) for found in times]


def bytes_table() -> list[str]:
    lines = [
        f"{BATCH} sequences of {LENGTH:,} steps, width {WIDTH}, float32. Bytes of the state, and bytes that "
        "a device holds after the messages of a forward run (the collectives of the compiled program, its "
        "own part among them), which do not depend on the length; of `newton` in one iteration. Steps of a "
        f"sequence on each device: {', '.join(f'{LENGTH // n:,} on {n}' for n in DEVICES)}.\n",
        "| model | state | 1 device | 2 devices | 4 devices | 8 devices |",
        "|---|---|---|---|---|---|",
    ]
    for name, model in MODELS.items():
        args = problem(model)
        sent = [
            sum(received(compiled(on(n, model, method_of(name)), *args)[0]).values())
            for n in DEVICES
        ]
        moved = " | ".join(f"{n:,}" for n in sent)
        lines.append(f"| {name} | {state_bytes(model, (BATCH,)):,} | {moved} |")
    return lines


def times_table() -> list[str]:
    lines = [
        f"The same runs: milliseconds of the processor ({os.cpu_count()} cores), forward, in `apply`, in "
        "`parallel.apply` with one piece, for which the compiler leaves the first pass out, and with two "
        "pieces on two devices; what two pieces cost beside `apply`; seconds to compile:\n",
        "| model | `apply` | one piece | two pieces | ratio | compile | compile in two pieces |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, model in MODELS.items():
        args, method = problem(model), method_of(name)

        def whole(p: Any, x: Any, s: Any, model: Any = model, method: str = method) -> Any:
            return model.apply(p, x, starts=s, method=method)

        plain, plain_seconds = compiled(jax.jit(whole), *args)
        single, _ = compiled(on(1, model, method), *args)
        apart, apart_seconds = compiled(on(2, model, method), *args)
        times = medians(*(lambda run=run, args=args: run(*args) for run in (plain, single, apart)))
        shown = " | ".join(f"{1e3 * seconds:.1f}" for seconds in times)
        lines.append(
            f"| {name} | {shown} | {times[2] / times[0]:.2f} | {plain_seconds:.1f} | {apart_seconds:.1f} |"
        )
    return lines


@dataclass(frozen=True)
class Chunks(Placement):
    """One device, with chunks of another size."""

    size: int = 8

    def apply(self, whole: Any, model: Any, params: Any) -> Any:
        def run(xs: Any, state: Any, *, starts: Any) -> Any:
            return model.apply(params, xs, state, starts=starts, chunk_size=self.size)

        return run


def rounding_table() -> list[str]:
    """The losses of twenty steps, on eight devices and on one in other chunks, beside those of one."""
    lines = [
        "The largest difference between the losses of twenty training steps (`repeat_first` of 64 steps, two "
        "layers of width 32, AdamW) and those of one device: in eight pieces on eight devices, and on one "
        "device with chunks of 8 and of 64 steps in place of 16 or 32, which is rounding alone:\n",
        "| model | learning rate | eight pieces | chunks of 8 | chunks of 64 |",
        "|---|---|---|---|---|",
    ]
    for kind in ("linear_attention", "gated_delta_net"):
        for rate in (1e-3, 1e-2):
            places = (ONE_DEVICE, place([("time", 8)]), Chunks(), Chunks(size=64))
            one, *others = (losses(kind, rate, where) for where in places)
            far = [max(abs(a - b) for a, b in zip(one, other, strict=True)) for other in others]
            shown = " | ".join(f"{each:.1e}" for each in far)
            lines.append(f"| {kind} | {rate:g} | {shown} |")
    return lines


def losses(kind: str, rate: float, placement: Placement) -> list[float]:
    """Of twenty training steps."""
    task = RepeatFirst(length=32, episodes=2, symbols=3)
    config = Config(
        task=task,
        model=network(task, lookup(kind)(32, heads=2), layers=2),
        batch_size=16,
        steps=20,
        optimizer=OptimizerOptions(learning_rate=rate),
    )
    learner = new_learner(config, placement=placement)
    data = batches(task, batch_size=config.batch_size)
    sums = [learner.step(placement.rows(next(data))) for _ in range(config.steps)]
    return [float(each["loss"]) / float(each["weight"]) for each in sums]


def transition_bytes(model: memcore.Model) -> int:
    """Of what becomes of a state over a piece, for one sequence; windows and plain sums have none."""
    params, found = jax.eval_shape(model.init, jax.random.key(0)), 0
    for _, cell in model.recurrences():
        if cell.reach is not None:
            continue
        if isinstance(cell, RulePart):
            x: Any = {
                name: jax.ShapeDtypeStruct((1, 1, *shape), jnp.float32)
                for name, shape in cell.shapes
            }
            element = jax.eval_shape(lambda u, cell=cell: cell.total({}, u), x)
        else:
            x = jax.ShapeDtypeStruct((1, 1, model.in_features), jnp.float32)
            element = jax.eval_shape(
                lambda p, x, cell=cell: cell.total(p, cell.embed(p, x)), params, x
            )
        transition, _ = element[2]
        found += sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(transition))
    return found


def sheet() -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    measured = re.findall(r"^\| ([^|]*) \| [\d.]+ \| [\d.]+ \| [\d.]+ \| ([\d.]+) \|", text, re.M)
    ratios = {name: float(ratio) for name, ratio in measured}
    lines = [
        f"One sequence of {LONG:,} steps on {MANY} devices, {LONG // MANY:,} steps each, width 256, float32. "
        "Bytes of the state, of the transition in an element, and what a device holds after the messages of "
        "the program compiled for so many; the efficiency is one over the ratio measured below:\n",
        "| model | state | transition | runs of a piece | received by a device | expected efficiency |",
        "|---|---|---|---|---|---|",
    ]
    for name, (kind, model, passes) in SHEET.items():
        params = jax.eval_shape(model.init, jax.random.key(0))
        xs = jax.ShapeDtypeStruct((1, LONG, model.in_features), jnp.float32)
        args = (params, xs, jax.ShapeDtypeStruct((1, LONG), jnp.bool))
        sent = sum(received(compiled(on(MANY, model, "auto"), *args)[0]).values())
        lines.append(
            f"| {name} | {state_bytes(model):,} | {transition_bytes(model):,} | {passes} | {sent:,} "
            f"| {100 / ratios[kind]:.0f} % |"
        )
    return lines


TABLES = {
    "sheet": ("### At a million steps", sheet),
    "bytes": ("### What is sent", bytes_table),
    "times": ("### What it costs", times_table),
    "rounding": ("### What rounding does", rounding_table),
}


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in TABLES:
        raise SystemExit(f"expected one of {', '.join(TABLES)}")
    heading, make = TABLES[sys.argv[1]]
    lines = [heading, "", *make(), ""]
    text = PAGE.read_text(encoding="utf-8")
    before, found, after = text.partition(heading + "\n")
    assert found, heading
    rest = re.search(r"^##", after, re.M)
    after = "" if rest is None else "\n" + after[rest.start() :]
    PAGE.write_text(before + "\n".join(lines) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
