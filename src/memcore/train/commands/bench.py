"""`memcore bench`: how long a model takes, by method of execution."""

import csv
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import tyro

from memcore.cell import Model
from memcore.tasks.base.checks import at_least
from memcore.train.commands.models import built
from memcore.train.runs.console import new_console
from memcore.train.runs.files import beside, write_json
from memcore.train.runs.tables import show
from memcore.types import Array, Params, Tree

PROG = "memcore bench"
RUNS = 5


@dataclass(frozen=True)
class Options:
    """Time a model by every method that it has, on JAX's default device, in float32.

    The inputs are random; a time is the median of five runs after one that compiles. A method that fails
    (for want of memory, say) is a row with its reason.
    """

    model: str = "lru"
    """Which one; fields behind its name, as in gated_delta_net:heads=2,conv_size=2."""
    length: int = 1024
    """Time steps."""
    batch_size: int = 4
    """Sequences."""
    width: int = 64
    """Width of the inputs, and of the state where that is a vector."""
    out: Path | None = None
    """Folder for the rows as bench.csv and bench.json; without it they are printed alone."""

    def __post_init__(self) -> None:
        for name in ("length", "batch_size", "width"):
            at_least(name, getattr(self, name), 1)


@dataclass(frozen=True)
class Row:
    """A method: seconds of a run, seconds to compile, bytes of temporaries; or why there are none."""

    method: str
    forward: float = 0.0
    gradient: float = 0.0
    compile_seconds: float = 0.0
    temporaries: int = 0
    reason: str = ""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code: 0, or 2 for bad arguments."""
    try:
        options = tyro.cli(Options, args=arguments, prog=PROG)
        model = built(options.model, options.width)
    except (ValueError, TypeError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2
    try:
        if options.out:  # before the time is spent
            options.out.expanduser().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"{PROG}: out is {options.out}, expected a folder: {error}", file=sys.stderr)
        return 2
    console, rows = new_console(), list[Row]()
    for row in measure(model, options):
        rows.append(row)
        said = row.reason or f"{1e3 * row.gradient:.1f} ms with gradient"
        console.print(f"{row.method}: {said}", highlight=False, soft_wrap=True)
    show(console, title(options), HEADERS, [cells(options, row) for row in rows])
    if options.out:
        write(options, rows, options.out.expanduser())
    return 0


def write(options: Options, rows: list[Row], folder: Path) -> None:
    """The rows as CSV and JSON, each with what was timed and where; times in seconds."""
    where = {**asdict(options), "device": jax.devices()[0].device_kind}
    del where["out"]
    values = [{**where, **asdict(row)} for row in rows]
    write_json(folder / "bench.json", values)
    with beside(folder / "bench.csv") as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(values[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(values)


def measure(model: Model, options: Options) -> Iterator[Row]:
    """A row for each method of the model, as it is measured."""
    params = jax.jit(model.init)(jax.random.key(0))
    shape = (options.batch_size, options.length, options.width)
    xs = jax.random.normal(jax.random.key(1), shape)
    for method in ("auto", *model.methods):
        yield _row(model, params, xs, method)


def _row(model: Model, params: Params, xs: Array, method: str) -> Row:
    def run(params: Params, xs: Array) -> Tree:
        return model.apply(params, xs, method=method)[1]

    def loss(params: Params, xs: Array) -> Tree:
        ys = run(params, xs)
        return jnp.vdot(ys, ys)  # costs next to nothing, as sines of all outputs do not

    try:
        forward, _ = _compiled(run, params, xs)
        gradient, seconds = _compiled(jax.value_and_grad(loss, (0, 1)), params, xs)
        return Row(
            method,
            _median(forward, params, xs),
            _median(gradient, params, xs),
            seconds,
            gradient.memory_analysis().temp_size_in_bytes,
        )
    except Exception as error:
        return Row(method, reason=f"{type(error).__name__}: {error}".splitlines()[0][:80])


def _compiled(f: Callable[..., Any], *args: Tree) -> tuple[Tree, float]:
    lowered, begin = jax.jit(f).lower(*args), time.perf_counter()
    return lowered.compile(), time.perf_counter() - begin


def _median(f: Callable[..., Any], *args: Tree) -> float:
    jax.block_until_ready(f(*args))
    seconds = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        jax.block_until_ready(f(*args))
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


HEADERS = (
    "method", "forward, ms", "with gradient, ms", "tokens/s", "compile, s", "temporaries, MB", "failed",
)  # fmt: skip


def title(options: Options) -> str:
    """What was timed, and where."""
    size = f"B={options.batch_size} T={options.length}, {options.width} wide"
    return f"{options.model}, {size}, {jax.devices()[0].device_kind}"


def cells(options: Options, row: Row) -> list[str]:
    """A row as text, as `HEADERS` says; the tokens are those of a forward pass and its gradient."""
    if row.reason:
        return [row.method, *[""] * 5, row.reason]
    return [
        row.method,
        f"{1e3 * row.forward:.1f}",
        f"{1e3 * row.gradient:.1f}",
        f"{options.batch_size * options.length / row.gradient:,.0f}",
        f"{row.compile_seconds:.1f}",
        f"{row.temporaries / 1e6:.1f}",
        "",
    ]
