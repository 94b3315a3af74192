"""Every measurement, or some, on JAX's default device.

    python benchmarks/run.py [--only GROUP ...] [--quick] [--results FOLDER]

Writes a table in Markdown, the numbers in JSON and pictures. A finished row is kept: a run that was
interrupted goes on with ``--only`` and the groups that are missing.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import import_time
import jax
import methods
import streaming
from harness import QUICK, Different, Effort, compare
from jobs import Job, NotRun
from promises import promises
from report import SECTIONS, markdown
from results import Results, slug, this_device, write
from sizes import FULL, SMALL, Sizes

HERE = Path(__file__).parent

Jobs = Callable[[Sizes, Effort, bool], Iterator[Job]]
OWN: dict[str, Jobs] = {
    "rules": methods.jax_jobs,
    "numpy": methods.numpy_jobs,
    "streaming": streaming.jobs,
    "import_time": import_time.jobs,
}
GROUPS = (*SECTIONS, *OWN)


def jobs_of(group: str) -> tuple[Jobs, tuple[str, ...]]:
    """What a group measures, and the packages that it measures; a peer is imported here.

    Raises:
        Exception: whatever importing the peer raises, if it is not installed, or not usable here.
    """
    if group in OWN:
        return OWN[group], ()
    peer = importlib.import_module(f"peers.{group}")

    def jobs(n: Sizes, effort: Effort, quick: bool) -> Iterator[Job]:
        for name, build in builders(group, peer, n).items():

            def run(build: Any = build) -> dict[str, Any]:
                return asdict(compare(build(), effort))

            yield Job(name, run, {"name": name})

    return jobs, peer.PACKAGES


def builders(group: str, peer: Any, n: Sizes) -> dict[str, Callable[[], Any]]:
    """The peer's pairs; where preparing them fails, one that fails with the same error."""
    try:
        return peer.pairs(n)
    except Exception as error:
        failed = error

    def build() -> Any:
        raise failed

    return {group: build}


def run_group(group: str, results: Results, quick: bool) -> bool:
    """Measure a group and keep its rows; whether all values agreed."""
    n, effort = (SMALL, QUICK) if quick else (FULL, Effort())
    try:
        jobs, packages = jobs_of(group)
    except Exception as error:  # absent, or broken by what it imports
        # What another environment measured stays.
        if not any("failure" not in row for row in results.rows(group)):
            results.begin(group, (), str(n))
            results.add(group, {"name": group, "failure": reason(error)})
        say(f"{group}: {reason(error)}\n")
        return True
    results.begin(group, packages, str(n))
    agreed = True
    for job in jobs(n, effort, quick):
        begin = time.perf_counter()
        say(f"{group}: {job.name} ... ")
        try:
            row = {**job.row, **job.run()}
        except Exception as error:  # a row with its reason, and on to the next one
            row = {**job.row, "failure": reason(error)}
            agreed = agreed and not isinstance(error, Different)
        results.add(group, row)
        say(f"{row.get('failure', 'done')} ({time.perf_counter() - begin:.1f} s)\n")
    return agreed


def reason(error: Exception) -> str:
    """One line that fits a table."""
    first = (str(error).strip().splitlines() or [""])[0].replace("|", "/")
    return first if isinstance(error, NotRun) else f"{type(error).__name__}: {first}"[:200]


def say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def publish(results: Results) -> None:
    """Write the Markdown and the pictures beside the JSON."""
    path = results.path
    try:
        import pictures

        names = pictures.draw(results.data, path.parent, path.stem)
    except ImportError:
        say("no pictures: matplotlib is not installed\n")
        names = []
    write(path.with_suffix(".md"), markdown(results.data, names))


def main(arguments: list[str] | None = None) -> int:
    """0, or 1 if some values did not agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, metavar="GROUP",
                        help=f"measure these groups: {', '.join(GROUPS)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true",
                        help="small sizes, one run: whether everything works")  # fmt: skip
    parser.add_argument("--results", type=Path, metavar="FOLDER",
                        help="where to write (default: benchmarks/results; "
                             "build/benchmarks with --quick)")  # fmt: skip
    options = parser.parse_args(arguments)
    default = HERE.parent / "build" / "benchmarks" if options.quick else HERE / "results"
    folder = options.results or default
    # A program that was compiled before would not show how long compiling takes.
    jax.config.update("jax_enable_compilation_cache", False)
    device = this_device()
    results = Results(folder / f"{slug(device['kind'])}.json", device)
    agreed = True
    for group in options.only:
        try:
            agreed = run_group(group, results, options.quick) and agreed
        finally:
            publish(results)
    print(promises(results.data["groups"]))
    print(results.path.with_suffix(".md"))
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
