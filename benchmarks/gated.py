"""Gated cells beside Equinox's and Flax's over a table of shapes, with and without starts.

    python benchmarks/gated.py                     all, about twenty minutes on two cores
    python benchmarks/gated.py --kinds GRU --peers equinox --shapes 4x128x64
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import linen
from harness import Effort, agree, compiled, forward_and_gradient, measure
from peers import equinox, flax

import memcore

SHAPES = ("4x128x64", "16x128x64", "64x32x64", "256x32x128", "8x128x256", "32x1024x128", "4x1024x256")
"""B x T x H; the inputs are as wide as the state."""
KINDS = ("GRU", "LSTM")
EFFORT = Effort(blocks=5, seconds=0.15, least=3, most=200)
A_START = 0.02
"""The share of steps at which a sequence begins."""


def carried(state: Any, x: Any) -> tuple[Any, Any]:
    """What ``lax.scan`` wants: the state, and its h."""
    return state, jax.tree.leaves(state)[0]


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
    cell = linen.GRUCell(width) if kind == "GRU" else linen.OptimizedLSTMCell(width)
    rnn = linen.RNN(cell)
    variables = rnn.init(jax.random.key(0), jnp.zeros((1, 1, width)))
    params_of = flax.gru_params if kind == "GRU" else flax.lstm_params

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
        first = zeros if kind == "GRU" else (zeros, zeros)
        return scan().apply(variables, first, (x, starts))[1]

    return variables, params_of(variables["params"]["cell"]), run


PEERS = {"equinox": of_equinox, "flax": of_flax}


def row(kind: str, peer: str, shape: str, starting: bool, gradient: bool) -> dict[str, Any]:
    """One comparison: the same numbers, then the time."""
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
    programs = [compiled(mine, (ours, x)), compiled(other, (theirs, x))]
    a, b = (program.run() for program in programs)
    agree(shape, (a[0], a[1][1]) if gradient else a, (b[0], b[1][1]) if gradient else b)
    sides = measure(programs, EFFORT)
    return {
        "kind": kind, "peer": peer, "shape": shape, "starts": starting, "gradient": gradient,
        "ours": vars(sides[0]), "theirs": vars(sides[1]),
        "ratio": sides[1].seconds / sides[0].seconds,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--peers", nargs="+", default=tuple(PEERS), choices=tuple(PEERS))
    parser.add_argument("--shapes", nargs="+", default=SHAPES)
    parser.add_argument("--starts", nargs="+", type=int, default=(0, 1))
    parser.add_argument("--gradients", nargs="+", type=int, default=(0, 1))
    parser.add_argument("--out")
    o = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    for peer in o.peers:
        for kind in o.kinds:
            for shape in o.shapes:
                for s in o.starts:
                    for g in o.gradients:
                        r = row(kind, peer, shape, bool(s), bool(g))
                        a, b = r["ours"], r["theirs"]
                        print(f"{peer:8} {kind:5} {shape:12} starts={s} grad={g} ours {a['seconds']*1e3:8.2f} theirs {b['seconds']*1e3:8.2f} ratio {r['ratio']:.2f}  MB {a['temporaries']/1e6:.0f} {b['temporaries']/1e6:.0f} compile {a['compile_seconds']:.2f} {b['compile_seconds']:.2f}", flush=True)
                        if o.out:
                            with open(o.out, "a") as f: f.write(json.dumps(r) + "\n")


if __name__ == "__main__":
    main()
