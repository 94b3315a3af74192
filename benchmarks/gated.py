"""Gated cells over a table of shapes, with and without starts, beside Equinox's and Flax's.

Cells that have no equal there stand beside `jax.lax.scan` over their own step; so does `Elman`, which Flax
has alone.

    python benchmarks/gated.py
    python benchmarks/gated.py --kinds GRU --peers equinox --shapes 4x128x64

What is measured replaces its rows in ``benchmarks/results/gated/gated.json``; the table beside it has all.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import linen
from harness import Effort, agree, compiled, forward_and_gradient, measure
from peers import equinox
from results import origin, put
from sizes import WIDE
from tables import number, table

import memcore
from memcore.convert import from_weights

OTHERS = ("Elman", "MGU", "IndRNN", "RTU", "SLSTM")
"""Cells that stand beside a plain scan."""
KINDS = ("GRU", "LSTM", *OTHERS)
SHAPES = ("16x128x32", *WIDE)
EFFORT = Effort(blocks=15, seconds=0.05, least=1, most=40)
"""Many short blocks: a noisy hour slows both sides of a row alike."""
A_START = 0.02
"""The share of steps at which a sequence begins."""
NOT_SLOWER, FASTER = 0.95, 1.15
"""What is promised beside Equinox's and Flax's cells: of every row, and of their geometric mean."""
PATH = Path(__file__).parent / "results" / "gated" / "gated.json"
WORK = {(False, False): "forward", (False, True): "forward, starts",
        (True, False): "gradient", (True, True): "gradient, starts"}  # fmt: skip


def of_equinox(kind: str, width: int) -> tuple[Any, Any, Callable[..., Any]]:
    """``(their parameters, ours, their run)``."""
    cell = getattr(eqx.nn, f"{kind}Cell")(width, width, key=jax.random.key(0))
    params_of = equinox.gru_params if kind == "GRU" else equinox.lstm_params

    def one(cell: Any, x: Any, starts: Any) -> Any:
        zeros = jnp.zeros(width)
        first = zeros if kind == "GRU" else (zeros, zeros)

        def body(state: Any, slot: Any) -> Any:
            x, start = slot
            if start is not None:
                state = jax.tree.map(lambda h: jnp.where(start, 0, h), state)
            state = cell(x, state)
            return state, jax.tree.leaves(state)[0]

        return jax.lax.scan(body, first, (x, starts))[1]

    def run(cell: Any, x: Any, starts: Any) -> Any:
        return jax.vmap(one, (None, 0, None if starts is None else 0))(cell, x, starts)

    return cell, params_of(cell), run


def of_flax(kind: str, width: int) -> tuple[Any, Any, Callable[..., Any]]:
    """The same for ``linen``: by ``RNN``, and where there are starts by the scan that it makes."""
    cell = {"GRU": linen.GRUCell, "LSTM": linen.OptimizedLSTMCell, "Elman": linen.SimpleCell}[kind](
        width
    )
    rnn = linen.RNN(cell)
    variables = rnn.init(jax.random.key(0), jnp.zeros((1, 1, width)))

    class Resetting(linen.Module):
        """The cell, begun anew at starts."""

        @linen.compact
        def __call__(self, carry: Any, slot: Any) -> Any:
            x, start = slot
            carry = jax.tree.map(lambda h: jnp.where(start[:, None], 0, h), carry)
            return cell.copy(name="cell")(carry, x)

    scan = linen.scan(
        Resetting, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1
    )

    def run(variables: Any, x: Any, starts: Any) -> Any:
        if starts is None:
            return rnn.apply(variables, x)
        zeros = jnp.zeros((len(x), width))
        first = (zeros, zeros) if kind == "LSTM" else zeros
        return scan().apply(variables, first, (x, starts))[1]

    _, ours = from_weights(f"flax.linen.{type(cell).__name__}", variables["params"]["cell"])
    return variables, jax.tree.map(jnp.asarray, ours), run


def of_scan(kind: str, width: int) -> tuple[Any, Any, Callable[..., Any]]:
    """The same for the cell's own step under `jax.lax.scan`, which JAX differentiates as it stands."""
    model = getattr(memcore, kind)(width, hidden_size=width)
    params = model.init(jax.random.key(0))

    def run(params: Any, x: Any, starts: Any) -> Any:
        inputs = model.embed(params, x)
        initial = jax.tree.map(
            lambda h: jnp.broadcast_to(h, (len(x), *h.shape)), model.initial_state(params)
        )

        def body(state: Any, slot: Any) -> Any:
            u, start = slot
            if start is not None:
                again = lambda h, first: jnp.where(start.reshape(-1, *[1] * (h.ndim - 1)), first, h)  # noqa: E731
                state = jax.tree.map(again, state, initial)
            state = model.step(params, state, u)
            return state, model.read(params, state, u)

        moved = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), (inputs, starts))
        reads = jax.lax.scan(body, initial, moved)[1]
        reads = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), reads)
        return model.output(params, reads, inputs)

    return params, params, run


PEERS = {"equinox": of_equinox, "flax": of_flax, "scan": of_scan}


def beside(kind: str, peer: str) -> bool:
    """Whether a cell has a row beside a peer."""
    return (kind, peer) == ("Elman", "flax") or (peer == "scan") == (kind in OTHERS)


def compare(kind: str, peer: str, shape: str, gradient: bool, starting: bool) -> dict[str, Any]:
    """One row: the same numbers, then the time in turns."""
    batch, length, width = map(int, shape.split("x"))
    theirs, ours, run = PEERS[peer](kind, width)
    model = getattr(memcore, kind)(width, hidden_size=width)
    x = jax.random.normal(jax.random.key(1), (batch, length, width))
    starts = jax.random.bernoulli(jax.random.key(2), A_START, (batch, length)) if starting else None

    def mine(params: Any, x: Any) -> Any:
        return model.apply(params, x, starts=starts)[1]

    def other(params: Any, x: Any) -> Any:
        return run(params, x, starts)

    if gradient:
        mine, other = forward_and_gradient(mine), forward_and_gradient(other)
    programs = [compiled(mine, (ours, x), once=True), compiled(other, (theirs, x), once=True)]
    a, b = (program.run() for program in programs)
    agree(shape, (a[0], a[1][1]) if gradient else a, (b[0], b[1][1]) if gradient else b)
    one, two = (vars(side) for side in measure(programs, EFFORT))
    name = [kind, peer, shape, gradient, starting]
    return {"name": name, "ours": one, "theirs": two}


def promise(ratios: list[float]) -> str:
    """What is promised beside a peer's cells, and whether the rows keep it."""
    mean = geometric_mean(ratios)
    slower = sum(r < NOT_SLOWER for r in ratios)
    kept = "kept" if mean >= FASTER and not slower else "**missed**"
    return (
        f"Promised: at least {NOT_SLOWER} in every row, {FASTER} in the geometric mean. Measured: "
        f"{min(ratios):.2f} at least, {slower} of {len(ratios)} rows below, {mean:.2f} in the mean: {kept}."
    )


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def ratio(row: dict[str, Any]) -> float:
    """How many times faster memcore is."""
    return float(row["theirs"]["seconds"] / row["ours"]["seconds"])


def markdown(found: dict[str, Any]) -> str:
    """A table for each cell and peer, and its range."""
    rows = {tuple(row["name"]): row for row in found["rows"]}
    text = [
        "# Gated cells by shape",
        "How many times faster memcore is; in brackets its milliseconds and theirs. B x T x H, float32. "
        + origin(found),
    ]
    for kind, peer in product(KINDS, PEERS):
        own = {name[2:]: ratio(row) for name, row in rows.items() if name[:2] == (kind, peer)}
        if not own:
            continue
        every = list(own.values())
        spans = [span([r for name, r in own.items() if name[1] == g]) for g in (False, True)]
        lines = [
            [shape, *(cell(rows.get((kind, peer, shape, *work))) for work in WORK)]
            for shape in SHAPES
        ]
        text += [
            f"## {kind}, beside {'a plain scan' if peer == 'scan' else peer}",
            f"Forward {spans[0]}, with gradient {spans[1]}; {geometric_mean(every):.2f} in the geometric "
            f"mean of {len(own)} rows.",
            *([] if peer == "scan" else [promise(every)]),
            table(["shape", *WORK.values()], lines),
        ]
    return "\n\n".join(text) + "\n"


def span(ratios: list[float]) -> str:
    return f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "not measured"


def cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    ours, theirs = (number(row[side]["seconds"], 1e-3) for side in ("ours", "theirs"))
    return f"{ratio(row):.2f} ({ours}, {theirs})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--peers", nargs="+", default=tuple(PEERS), choices=tuple(PEERS))
    parser.add_argument("--shapes", nargs="+", default=SHAPES, choices=SHAPES)
    options = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    pairs = [(k, p) for p, k in product(options.peers, options.kinds) if beside(k, p)]
    if not pairs:
        parser.error(
            f"{options.kinds} have no row beside {options.peers}: {OTHERS} have one beside scan"
        )
    for (kind, peer), shape, work in product(pairs, options.shapes, WORK):
        row = compare(kind, peer, shape, *work)
        put(PATH, ("memcore", "jax", "equinox", "flax"), row, markdown)
        print(kind, peer, shape, WORK[work], cell(row), flush=True)


if __name__ == "__main__":
    main()
