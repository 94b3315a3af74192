"""What bounds linear attention in chunks: its four products alone, chunk after chunk and all at once.

    python benchmarks/products.py

A chunk of C steps needs ``q k^T``, that times ``v``, ``k^T v`` and ``q S``. Each side computes these and
nothing else from arrays that stand ready; linear attention moves its inputs, masks, adds and carries
the state besides. All are forward, in one process, in turns; the last column is the speed of the products'
operations.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from harness import Effort, compiled, measure

from memcore import ops

CHUNK = 64
SIZES = ((4, 1024, 4, 64), (16, 256, 4, 64), (1, 8192, 4, 64), (16, 256, 4, 32))
"""Batch, length, heads, width of keys and of values."""


def products(q: Any, k: Any, v: Any, state: Any) -> Any:
    return (q @ k.mT) @ v, q @ state, k.mT @ v


def one_by_one(*arrays: Any) -> Any:
    return jax.lax.scan(lambda carry, x: (carry, products(*x)), None, arrays)[1]


def rows(batch: int, length: int, heads: int, width: int) -> list[tuple[str, float]]:
    """Milliseconds of each side."""
    keys = jax.random.split(jax.random.key(0), 4)
    draw = partial(jax.random.normal, dtype=jnp.float32)
    shape = batch, length, heads, width
    arrays = [draw(key, shape) for key in keys[:3]]
    decay = -jax.random.uniform(keys[3], shape[:3])
    chunks = (length // CHUNK, batch * heads)
    parts = [draw(key, (*chunks, CHUNK, width)) for key in keys[:3]]
    parts.append(draw(keys[3], (*chunks, width, width)))
    whole = partial(ops.linear_attention, method="fused", chunk_size=CHUNK)
    sides: dict[str, tuple[Any, list[Any]]] = {
        "linear attention": (whole, arrays),
        "with decay": (whole, [*arrays, decay]),
        "products, by chunk": (one_by_one, parts),
        "products, all at once": (products, parts),
    }
    programs = [compiled(f, tuple(args)) for f, args in sides.values()]
    measured = measure(programs, Effort(blocks=5, seconds=0.2))
    return [(name, 1e3 * side.seconds) for name, side in zip(sides, measured, strict=True)]


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print(f"{'batch x length x heads x width':32}{'side':24}{'ms':>8}{'GFLOP/s':>9}")
    for size in SIZES:
        batch, length, heads, width = size
        work = 2 * batch * length * heads * (2 * CHUNK * width + 2 * width**2)
        for name, ms in rows(*size):
            print(f"{' x '.join(map(str, size)):32}{name:24}{ms:8.1f}{work / ms / 1e6:9.1f}")


if __name__ == "__main__":
    main()
