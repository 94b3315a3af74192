"""How long `import memcore` takes beside `import numpy`, each in fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from harness import Effort
from jobs import Job
from sizes import Sizes

RUNS = 11


def jobs(n: Sizes, effort: Effort, quick: bool) -> Iterator[Job]:
    for package in ("numpy", "memcore"):
        code = f"import {package}"

        def run(code: str = code) -> dict[str, Any]:
            return {"seconds": seconds(code, 1 if quick else RUNS)}

        yield Job(code, run, {"name": code})


def seconds(code: str, runs: int) -> float:
    """The median over fresh processes; the first one, which reads the files, does not count."""

    def once() -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    once()
    return statistics.median(once() for _ in range(runs))
