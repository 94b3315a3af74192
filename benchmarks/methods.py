"""The table behind `method="auto"`: each rule by method and chunk size, in NumPy and in JAX.

    python benchmarks/methods.py [numpy] [jax]

NumPy: forward. JAX, on its default device: forward plus gradient. Medians; the fastest is marked.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from memcore import ops

BATCH, LENGTH, HEADS, SIZE, WIDTH, WINDOW = 4, 1024, 4, 64, 256, 64
CHUNKS = (16, 32, 64)


def inputs(
    rng: np.random.Generator,
) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]:
    """Rule by name: the function, its arrays and its other arguments."""
    normal = lambda *shape: rng.normal(size=shape).astype("float32")  # noqa: E731
    q, k, v = (normal(BATCH, LENGTH, HEADS, SIZE) for _ in range(3))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    beta = 1 / (1 + np.exp(-normal(BATCH, LENGTH, HEADS)))
    decay = -0.1 * np.abs(normal(BATCH, LENGTH, HEADS))
    radius, phase = rng.uniform(0.5, 1, WIDTH), rng.uniform(0, 6, WIDTH)
    a = tuple((radius * f(phase)).astype("float32") for f in (np.cos, np.sin))
    b = (normal(BATCH, LENGTH, WIDTH), normal(BATCH, LENGTH, WIDTH))
    kernel = normal(4, WIDTH)
    return {
        "linear_recurrence": (ops.linear_recurrence, (a, b), {}),
        "linear_attention": (ops.linear_attention, (np.abs(q), np.abs(k), v), {"normalise": True}),
        "delta_rule": (ops.delta_rule, (q, k, v, beta, decay), {}),
        "window_attention": (ops.window_attention, (q, k, v), {"window": WINDOW}),
        "causal_convolution": (ops.causal_convolution, (b[0], kernel), {}),
    }


def candidates(rule: str) -> list[tuple[str, int | None]]:
    """Methods with chunk sizes. A prefix scan over whole windows is left out: it takes minutes."""
    chunked = [("fused", c) for c in CHUNKS] if rule in ("linear_attention", "delta_rule") else []
    if rule == "window_attention":
        chunked = [("fused", c) for c in (32, 64, 128)]
    prefix = [] if rule == "window_attention" else [("associative", None)]
    return [("sequential", None), *prefix, *(chunked or [("fused", None)])]


def in_numpy(
    f: Callable[..., Any], args: Any, starts: Any, how: dict[str, Any]
) -> Callable[[], Any]:
    return lambda: f(*args, starts=starts, **how)


def in_jax(f: Callable[..., Any], args: Any, starts: Any, how: dict[str, Any]) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    def loss(args: Any) -> Any:
        out = f(*args, starts=starts, **how)[1]
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(out))

    gradient = jax.jit(jax.value_and_grad(loss))
    args = jax.tree.map(jnp.asarray, args)
    return lambda: jax.block_until_ready(gradient(args))


def milliseconds(run: Callable[[], Any], repeats: int = 5) -> float:
    run()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(seconds)


def main() -> None:
    rng = np.random.default_rng(0)
    starts = rng.random((BATCH, LENGTH)) < 0.01
    backends = {"numpy": in_numpy, "jax": in_jax}
    for backend in sys.argv[1:] or backends:
        print(
            f"\n{backend}: B={BATCH} T={LENGTH} H={HEADS} K=V={SIZE}, {WIDTH} channels, W={WINDOW}"
        )
        print("| rule | method | ms |\n|---|---|---|")
        for rule, (f, args, options) in inputs(rng).items():
            times = {}
            for method, chunk in candidates(rule):
                how = {**options, "method": method, "chunk_size": chunk}
                name = f"{method} {chunk}" if chunk else method
                times[name] = milliseconds(backends[backend](f, args, starts, how))
            for name, ms in times.items():
                best = "**" if ms == min(times.values()) else ""
                print(f"| {rule} | {best}{name}{best} | {ms:.1f} |", flush=True)


if __name__ == "__main__":
    main()
