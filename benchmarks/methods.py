"""Each rule by method, chunk size, length and width: the table behind ``method="auto"``.

JAX, on its default device: forward plus gradient. NumPy: forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import flops
import jax
import jax.numpy as jnp
import numpy as np
from harness import SHORT, Effort, Program, Side, compiled, forward_and_gradient, measure
from jobs import Job, NotRun
from sizes import KERNEL, Sizes

from memcore import GRU, S6, ops
from memcore.engine import auto

MATRICES = (
    "linear_attention",
    "delta_rule",
    "delta_product",
    "dplr_delta_rule",
    "mlstm",
)
WINDOWS = ("window_attention", "full_attention", "causal_convolution")
CHUNKS = {"cpu": (16, 32, 64), "gpu": (32, 64, 128)}
MINI_BATCH = 16
BLOCKS = {"cpu": (32, 64, 128), "gpu": (64, 256, 512, 1024)}
# The rule whose row of `auto.TABLE` another one runs.
ROWS = {"delta_product": "delta_rule"}
LENGTHS = (256, 4096, 16384)
WIDTHS = (32, 128)
BATCHES = (1, 16)
SWEEPS = ("base", "length", "width", "batch")
"""The problem itself first, then other lengths, widths and numbers of sequences."""
# What takes more time or memory than this is left out of the sweeps.
MOST_SECONDS, MOST_COMPILE_SECONDS, MOST_BYTES = 1.0, 30.0, 4e9

Inputs = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def inputs(rng: np.random.Generator, n: Sizes) -> dict[str, Inputs]:
    """Rule by name: the function, its arrays and its other arguments."""
    normal = lambda *shape: rng.normal(size=shape).astype("float32")  # noqa: E731
    q, k, v = (normal(n.batch, n.length, n.heads, n.size) for _ in range(3))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    beta = 1 / (1 + np.exp(-normal(n.batch, n.length, n.heads)))
    decay = -0.1 * np.abs(normal(n.batch, n.length, n.heads))
    radius, phase = rng.uniform(0.5, 1, n.width), rng.uniform(0, 6, n.width)
    a = tuple((radius * f(phase)).astype("float32") for f in (np.cos, np.sin))
    b = (normal(n.batch, n.length, n.width), normal(n.batch, n.length, n.width))
    kernel = normal(KERNEL, n.width)
    matrices = normal(n.batch, n.length, n.dense, n.dense) / np.float32(2 * n.dense**0.5)
    log_input = normal(n.batch, n.length, n.heads)
    channels = -0.1 * np.abs(normal(*k.shape))
    gru, s6 = GRU(n.width, hidden_size=n.width), S6(n.width)
    # Two Householder factors per step.
    twice = tuple(np.stack([x, x[:, ::-1]], axis=2) for x in (k, v, beta))
    return {
        "linear_recurrence": (ops.linear_recurrence, (a, b), {}),
        "widened_linear_recurrence": (s6.apply, (s6.init(rng), b[0]), {}),
        "gated_cell": (gru.apply, (gru.init(rng), b[0]), {}),
        "dense_recurrence": (ops.dense_recurrence, (matrices, b[0][..., : n.dense]), {}),
        "linear_attention": (ops.linear_attention, (np.abs(q), np.abs(k), v), {"normalise": True}),
        "linear_attention per channel": (ops.linear_attention, (q, k, v, channels), {}),
        "delta_rule": (ops.delta_rule, (q, k, v, beta, decay), {}),
        "delta_rule per channel": (ops.delta_rule, (q, k, v, beta, channels), {}),
        "delta_product": (ops.delta_product, (q, *twice, decay), {}),
        "dplr_delta_rule": (
            ops.dplr_delta_rule,
            (q, k, v, -k, beta[..., None] * k, channels),
            {},
        ),
        "neural_memory": (
            ops.neural_memory,
            (
                q,
                k,
                v,
                0.2 * beta,
                0.5 * beta,
                -0.1 * decay,
                (normal(n.heads, n.size, n.size) / 50,),
            ),
            {"mini_batch": MINI_BATCH},
        ),
        "mlstm": (ops.mlstm, (q, k, v, log_input, decay), {}),
        "softmax": (ops.softmax, (log_input, v, decay), {}),
        "log_sum_exp": (ops.log_sum_exp, (b[0], -np.abs(b[1])), {}),
        "max_plus": (ops.max_plus, (-np.abs(b[1]), b[0]), {}),
        "window_attention": (ops.window_attention, (q, k, v), {"window": n.window}),
        "full_attention": (ops.window_attention, (q, k, v), {"window": None}),
        "causal_convolution": (ops.causal_convolution, (b[0], kernel), {}),
    }


def candidates(rule: str, device: str) -> list[tuple[str, int | None]]:
    """Methods with chunk sizes.

    Two kinds of prefix scan are left out: over whole windows, which takes minutes, and those whose
    elements are the delta rule's, which take its time.
    """
    kind = rule.split()[0]
    sizes = CHUNKS if kind in MATRICES else BLOCKS if kind in WINDOWS else {}
    sizes = {"cpu": (8, 16, 32), "gpu": (64, 256, 1024)} if kind.startswith("widened") else sizes
    fused = [("fused", size) for size in sizes.get(device, sizes.get("cpu", (None,)))]
    if kind == "full_attention":
        return fused
    if kind == "gated_cell":
        return [("sequential", None), *fused]
    if kind == "window_attention":
        # None: a size that follows the window.
        fused.append(("fused", None))
    without = (
        "window_attention",
        "delta_rule per channel",
        "delta_product",
        "dplr_delta_rule",
        "neural_memory",
    )
    prefix = [] if rule in without else [("associative", None), ("chunked", 16)]
    return [("sequential", None), *prefix, *fused]


def sweeps(n: Sizes, quick: bool) -> list[tuple[str, Sizes]]:
    """Every size of `SWEEPS`, by the name of its sweep."""
    lengths = [replace(n, length=t) for t in ((256,) if quick else LENGTHS)]
    widths = [] if quick else [replace(n, size=w, width=n.width * w // n.size) for w in WIDTHS]
    batches = [] if quick else [replace(n, batch=b) for b in BATCHES]
    named = {"base": [n], "length": lengths, "width": widths, "batch": batches}
    return [(name, m) for name in SWEEPS for m in named[name]]


def jax_jobs(n: Sizes, effort: Effort, quick: bool) -> Iterator[Job]:
    """The matmul that stands for the machine's speed, then every rule."""
    effort = effort if quick else SHORT
    peak: dict[str, float] = {}
    yield Job("matmul", lambda: _matmul(peak, effort, quick), {"sweep": "matmul"})
    measured: dict[Any, tuple[Sizes, Side]] = {}
    for sweep, m in sweeps(n, quick):
        rng = np.random.default_rng(0)
        starts = rng.random((m.batch, m.length)) < 0.01
        for rule, problem in inputs(rng, m).items():
            for method, chunk in _asked(rule, sweep):
                row = {"sweep": sweep, "rule": rule, "method": method, "chunk": chunk}
                row["auto"] = _choice(rule, jax.default_backend(), m)

                def run(problem: Any = problem, row: Any = row, m: Any = m, starts: Any = starts):
                    _affordable(measured.get((row["rule"], row["method"])), m)
                    side = _measure(problem, starts, row, effort)
                    measured[row["rule"], row["method"]] = m, side
                    return {**asdict(side), **_speed(row["rule"], m, side, peak)}

                name = f"{rule} {method} {chunk or ''} B={m.batch} T={m.length} K={m.size}"
                yield Job(name, run, {**row, "sizes": asdict(m)})


def _asked(rule: str, sweep: str) -> list[tuple[str, int | None]]:
    """In the sweeps, each method with its measured chunk size, and no prefix scans in chunks."""
    found = candidates(rule, jax.default_backend())
    if sweep == "base":
        return found
    return [(m, None) for m in dict.fromkeys(m for m, _ in found) if m != "chunked"]


def chosen(rule: str, device: str, n: Sizes) -> tuple[str, int | None]:
    """The method and the chunk size that ``method="auto"`` takes at these sizes."""
    kind = rule.split()[0]
    choice = auto.TABLE[ROWS.get(kind, kind)][device]
    return choice.method, auto.steps(choice, n.batch * n.width * S6(n.width).state_size)


def _choice(rule: str, device: str, n: Sizes) -> str:
    return " ".join(str(part) for part in chosen(rule, device, n) if part)


def _affordable(before: tuple[Sizes, Side] | None, n: Sizes) -> None:
    """Raise NotRun if the same method took too long, or too much memory, at another size."""
    if before is None:
        return
    m, side = before
    ratio = n.batch * n.length / (m.batch * m.length) * (n.size / m.size) ** 2
    seconds, temporaries = ratio * side.seconds, ratio * (side.temporaries or 0)
    if ratio > 1 and (seconds > MOST_SECONDS or temporaries > MOST_BYTES):
        raise NotRun(f"left out: about {seconds:.0f} s and {temporaries / 1e9:.0f} GB")
    if (side.compile_seconds or 0) > MOST_COMPILE_SECONDS:
        raise NotRun(f"left out: it compiles for {side.compile_seconds:.0f} s")


def _measure(problem: Inputs, starts: Any, row: dict[str, Any], effort: Effort) -> Side:
    f, args, options = problem
    args = jax.tree.map(jnp.asarray, args)
    how = {"starts": starts, "method": row["method"], "chunk_size": row["chunk"], **options}

    def outputs(*args: Any) -> Any:
        return f(*args, **how)[1]

    # The tables show how long the problem itself takes to compile, not every size of it.
    program = compiled(forward_and_gradient(outputs), args, once=row["sweep"] != "base")
    [side] = measure([program], effort)
    return side


def _speed(rule: str, n: Sizes, side: Side, peak: dict[str, float]) -> dict[str, Any]:
    count = flops.forward_and_gradient(rule, n)
    if count is None:
        return {}
    speed = count / side.seconds
    return {"flops": count, "fraction": speed / peak["flops"] if peak else None}


def _matmul(peak: dict[str, float], effort: Effort, quick: bool) -> dict[str, Any]:
    """Float32, at JAX's default precision; large enough to fill the device."""
    size = 256 if quick else 1024 if jax.default_backend() == "cpu" else 8192
    x = jnp.ones((size, size), "float32")
    [side] = measure([compiled(jnp.matmul, (x, x))], effort)
    peak["flops"] = 2 * size**3 / side.seconds
    return {**asdict(side), "size": size, "flops": peak["flops"]}


def numpy_jobs(n: Sizes, effort: Effort, quick: bool) -> Iterator[Job]:
    """Every rule in NumPy, forward."""
    effort = effort if quick else SHORT
    rng = np.random.default_rng(0)
    starts = rng.random((n.batch, n.length)) < 0.01
    for rule, (f, args, options) in inputs(rng, n).items():
        for method, chunk in candidates(rule, "numpy"):
            row = {"sweep": "base", "rule": rule, "method": method, "chunk": chunk}
            row["auto"] = _choice(rule, "numpy", n)
            how = {**options, "starts": starts, "method": method, "chunk_size": chunk}

            def run(f: Any = f, args: Any = args, how: Any = how) -> dict[str, Any]:
                [side] = measure([Program(lambda: f(*args, **how))], effort)
                return asdict(side)

            yield Job(f"{rule} {method} {chunk or ''}", run, {**row, "sizes": asdict(n)})
