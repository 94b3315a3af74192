"""Memories that learn as they read, fused beside their folds over steps, on JAX's default device.

    python benchmarks/neural_memory.py

`ops.neural_memory` with mini-batches of 16 and heads of 64, the problem of `benchmarks/run.py --only rules`,
and `TitansMAC`, whose segments are such mini-batches, over shapes of batch x steps x width. Forward, and with
the gradient by all arrays, in one process and in turns: milliseconds, megabytes of temporaries,
and seconds to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import methods
import numpy as np
from harness import Effort, compiled, forward_and_gradient, measure
from results import this_device
from sizes import FULL
from tables import number, table

import memcore

EFFORT = Effort(blocks=5, seconds=0.3)
SHAPES = ((4, 128, 64), (16, 128, 128), (4, 512, 128), (4, 256, 256))
"""Batch, steps and width of the model."""


def beside(name: str, f: Callable[..., Any], args: Any) -> list[list[str]]:
    """The rows of ``f(*args, method=)``, forward and with the gradient."""
    found = []
    for what in ("forward", "with gradient"):
        programs = []
        for method in ("fused", "sequential"):

            def run(*args: Any, method: str = method) -> Any:
                return f(*args, method=method)[1]

            run = run if what == "forward" else forward_and_gradient(run)
            programs.append(compiled(run, args, once=True))
        ours, fold = measure(programs, EFFORT)
        sides = [number(side.seconds, 1e-3) for side in (ours, fold)]
        sizes = [number(side.temporaries, 1e6) for side in (ours, fold)]
        waits = [number(side.compile_seconds, 1.0) for side in (ours, fold)]
        times = f"{fold.seconds / ours.seconds:.1f}"
        found.append([f"{name}, {what}", times, *sides, *sizes, *waits])
    return found


def rows() -> list[list[str]]:
    rng = np.random.default_rng(0)
    rule, args, options = methods.inputs(rng, FULL)["neural_memory"]
    args = jax.tree.map(jax.numpy.asarray, args)

    def run(*args: Any, method: str) -> Any:
        return rule(*args, method=method, **options)

    found = beside("neural_memory", run, args)
    for shape in SHAPES:
        model = memcore.TitansMAC(shape[-1])
        args = (model.init(jax.random.key(0)), jax.numpy.asarray(rng.normal(size=shape), "float32"))
        found += beside("TitansMAC " + " x ".join(map(str, shape)), model.apply, args)
    return found


def main() -> None:
    device = this_device()
    print(f"{device['kind']} ({device['processor']}, {device['cores']} cores); {FULL}")
    head = ["", "times faster", "fused, ms", "fold, ms", "fused, MB", "fold, MB"]
    head += ["fused compiles, s", "fold, s"]
    print(table(head, rows()))


if __name__ == "__main__":
    main()
