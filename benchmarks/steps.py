"""One step and 1,000 steps on NumPy, through `memcore.step` and `memcore.scan`; several versions in turns.

    python benchmarks/steps.py [--source SRC ...] [--rounds N]

The last column says whether the first source keeps what is promised of a step. Each source is the `src`
folder of a checkout, measured in processes of its own, one after the other in every round; without any it is
the installed package. The plain loop is a GRU of the same sizes in NumPy alone, with no check of anything.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

LENGTH, WIDTH = 1000, 64
BOUNDS = {"GRU, a step": 50, "GatedDeltaNet, a step": 200, "ResidualStack, a step": 250}
"""Microseconds that a step is promised to take at most."""


def seconds(run: Callable[[], Any], calls: int, repeats: int = 7) -> float:
    """Of one call: the fastest of several series."""
    run()
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(calls):
            run()
        found.append((time.perf_counter() - begin) / calls)
    return min(found)


def plain_gru(params: Any, h: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """`memcore.GRU` in NumPy alone."""
    into, hidden = params["input"], params["hidden"]
    for x in xs:
        a, b = (k @ p["kernel"] + p["bias"] for k, p in ((x, into), (h, hidden)))
        r, z = (1 / (1 + np.exp(-(a[i : i + WIDTH] + b[i : i + WIDTH]))) for i in (0, WIDTH))
        n = np.tanh(a[2 * WIDTH :] + r * b[2 * WIDTH :])
        h = (1 - z) * n + z * h
    return h


def rows_of(name: str, model: Any) -> dict[str, float]:
    """Seconds of a step and of a sequence; a GRU's beside the plain loop's."""
    import memcore

    params = model.init(0)
    state = memcore.initial_state(model, params)
    xs = np.random.default_rng(0).standard_normal((LENGTH, WIDTH)).astype(np.float32)
    runs: dict[str, Callable[[np.ndarray], Any]] = {
        name: lambda xs: memcore.scan(model, params, xs)
    }
    step, begins = functools.partial(memcore.step, model, params, state, xs[0]), np.array(False)
    rows = {
        f"{name}, a step": seconds(step, 100),
        f"{name}, a step with `start`": seconds(lambda: step(start=begins), 100),
    }
    if isinstance(model, memcore.GRU):
        runs["a plain GRU"] = lambda xs: plain_gru(params, state, xs)
        np.testing.assert_allclose(runs["a plain GRU"](xs), runs[name](xs)[0], rtol=0, atol=1e-5)
        rows["a plain GRU, a step"] = seconds(lambda: plain_gru(params, state, xs[:1]), 100)
    for what, run in runs.items():
        rows[f"{what}, {LENGTH} steps"] = seconds(functools.partial(run, xs), 1, 5)
    return rows


def measure() -> dict[str, float]:
    """Microseconds of every row, of the package as it is imported."""
    import memcore

    rows = rows_of("GRU", memcore.GRU(WIDTH, hidden_size=WIDTH))
    rows |= rows_of("GatedDeltaNet", memcore.GatedDeltaNet(WIDTH))
    rows |= rows_of("ResidualStack", memcore.ResidualStack(WIDTH))
    return {name: 1e6 * row for name, row in rows.items()}


def promise(row: str, measured: list[dict[str, float]]) -> str:
    """Whether the median of a row is within its bound; nothing where none is promised."""
    if row not in BOUNDS:
        return ""
    kept = statistics.median(one[row] for one in measured) <= BOUNDS[row]
    return f"at most {BOUNDS[row]} us: {'kept' if kept else '**missed**'}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--here", action="store_true", help="measure in this process, as JSON")
    asked = parser.parse_args(arguments)
    if asked.here:
        print(json.dumps(measure()))
        return 0
    sources = asked.source or [""]
    found: dict[str, list[dict[str, float]]] = {source: [] for source in sources}
    for _ in range(asked.rounds):
        for source in sources:
            env = {**os.environ, "PYTHONPATH": source} if source else None
            out = subprocess.run([sys.executable, __file__, "--here"], env=env, check=True,
                                 stdout=subprocess.PIPE, text=True)  # fmt: skip
            found[source].append(json.loads(out.stdout))
    for row in found[sources[0]][0]:
        cells = []
        for source in sources:
            times = [one[row] for one in found[source]]
            cells.append(f"{statistics.median(times):.0f} ({min(times):.0f} to {max(times):.0f})")
        print(f"| {row} | {' us | '.join(cells)} us | {promise(row, found[sources[0]])} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
