"""The fused form of `ops.neural_memory` beside its fold over steps, on JAX's default device.

    python benchmarks/neural_memory.py

Forward, and with the gradient by all arrays, in one process and in turns: milliseconds, and megabytes of
temporaries. The problem is that of `benchmarks/run.py --only rules`: mini-batches of 16, heads of 64.
"""

from __future__ import annotations

from typing import Any

import jax
import methods
import numpy as np
from harness import Effort, compiled, forward_and_gradient, measure
from results import this_device
from sizes import FULL
from tables import number, table

EFFORT = Effort(blocks=5, seconds=0.3)


def rows() -> list[list[str]]:
    f, args, options = methods.inputs(np.random.default_rng(0), FULL)["neural_memory"]
    args = jax.tree.map(jax.numpy.asarray, args)
    found = []
    for what in ("forward", "with gradient"):
        programs = []
        for method in ("fused", "sequential"):

            def run(*args: Any, method: str = method) -> Any:
                return f(*args, method=method, **options)[1]

            run = run if what == "forward" else forward_and_gradient(run)
            programs.append(compiled(run, args, once=True))
        ours, fold = measure(programs, EFFORT)
        sides = [number(side.seconds, 1e-3) for side in (ours, fold)]
        sizes = [number(side.temporaries, 1e6) for side in (ours, fold)]
        found.append([what, f"{fold.seconds / ours.seconds:.1f}", *sides, *sizes])
    return found


def main() -> None:
    device = this_device()
    print(f"{device['kind']} ({device['processor']}, {device['cores']} cores); {FULL}")
    head = ["", "times faster", "fused, ms", "fold, ms", "fused, MB", "fold, MB"]
    print(table(head, rows()))


if __name__ == "__main__":
    main()
