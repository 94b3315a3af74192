"""Groups of `run.py` on a device whose time is dear: what they run is compiled ahead, in several processes.

    python benchmarks/ahead.py --only rules flax --processes 12 --seconds 300 --sweeps base

The processes compile, each the next row that nobody has taken; then one after the other measures its own,
alone on the device. The rows are those of `run.py`, but for the seconds of compiling, which are left out.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import harness
import jax
import methods
import run
from harness import QUICK, SHORT, Different
from jobs import Job
from promises import promises
from results import Results, slug, this_device
from sizes import FULL, SMALL

NEXT = "next"


@functools.cache
def jobs(group: str, quick: bool) -> list[Job]:
    """The rows of a group, prepared on the host: small programs take the longer to compile elsewhere."""
    with jax.default_device(jax.devices("cpu")[0]):
        of_group, _ = run.jobs_of(group)
        return list(of_group(SMALL if quick else FULL, QUICK if quick else SHORT, quick))


def work(quick: bool) -> None:
    """One process: ask for rows and compile them; when there are none left, wait for the word to measure."""
    compiled = []
    while (asked := _ask(NEXT)) != "":
        group, index = asked.split()
        job, begin = jobs(group, quick)[int(index)], time.perf_counter()
        compiled.append((group, int(index), job, harness.compiled_ahead(job.run)))
        run.say(f"{group}: {job.name}: compiled in {time.perf_counter() - begin:.1f} s\n")
    for group, index, job, programs in compiled:
        begin = time.perf_counter()
        try:
            row = {**job.row, **harness.with_programs(programs, job.run)}
        except Exception as error:
            row = {**job.row, "failure": run.reason(error)}
        run.say(
            f"{group}: {job.name}: {row.get('failure', 'done')} ({time.perf_counter() - begin:.1f} s)\n"
        )
        print(json.dumps([group, index, row]), flush=True)


def _ask(word: str) -> str:
    print(word, flush=True)
    return sys.stdin.readline().strip()


class Lead:
    """Gives out rows until there are none, or the time is over; then the word, and takes what is found."""

    def __init__(self, rows: list[tuple[str, int]], options: argparse.Namespace) -> None:
        device = this_device()
        default = (
            run.HERE.parent / "build" / "benchmarks" if options.quick else run.HERE / "results"
        )
        folder = options.results or default
        self.results = Results(folder / f"{slug(device['kind'])}.json", device)
        self.asked, self.rows, self.options = rows, list(rows), options
        self.found: dict[tuple[str, int], Any] = {}
        self.until, self.lock = time.monotonic() + options.seconds, threading.Lock()
        self.alone, self.compiling = threading.Lock(), options.processes
        self.all_compiled = threading.Event()

    def serve(self, worker: Any) -> None:
        """One process to its end, in a thread of its own."""

        def tell(line: str) -> None:
            worker.stdin.write(line + "\n")
            worker.stdin.flush()

        while worker.stdout.readline().strip() == NEXT:
            with self.lock:
                row = self.rows.pop(0) if self.rows and time.monotonic() < self.until else None
            if row is None:
                break
            tell(f"{row[0]} {row[1]}")
        with self.lock:
            self.compiling -= 1
            if not self.compiling:
                self.all_compiled.set()
        self.all_compiled.wait(self.until + self.options.grace - time.monotonic())
        with self.alone:
            if worker.poll() is None:
                tell("")
            for line in worker.stdout:
                group, index, row = json.loads(line)
                self.found[group, index] = row
                self.keep(group)

    def keep(self, group: str) -> None:
        """Write a group's rows; one that is not there yet says so."""
        sizes = str(SMALL if self.options.quick else FULL)
        self.results.begin(group, run.jobs_of(group)[1], sizes)
        for of, index in self.asked:
            if of == group:
                missing = {
                    **jobs(of, self.options.quick)[index].row,
                    "failure": "not measured in time",
                }
                self.results.add(group, self.found.get((of, index), missing))

    def run(self, command: list[str]) -> int:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        workers = [subprocess.Popen(command, **pipes) for _ in range(self.options.processes)]
        threads = [threading.Thread(target=self.serve, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run.publish(self.results)
        print(promises(self.results.data["groups"]))
        failures = [str(row.get("failure", "")) for row in self.found.values()]
        lost = len(self.asked) - len(self.found)
        if lost:
            print(f"{lost} rows were not measured in time, or their processes ended")
        return int(bool(lost) or any(text.startswith(Different.__name__) for text in failures))


def regex(text: str) -> re.Pattern[str]:
    """A regular expression, as an argument."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error


def number(text: str) -> int:
    """A number of processes, as an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of processes, 1 or more")
    return int(text)


def main() -> int:
    """0, or 1 if some values did not agree, or rows are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=run.GROUPS, required=True, metavar="GROUP")
    parser.add_argument("--rows", type=regex, metavar="REGEX", help="rows whose name matches")
    parser.add_argument("--processes", type=number, default=4)
    parser.add_argument("--seconds", type=float, default=3600.0, help="for compiling")
    parser.add_argument("--grace", type=float, default=60.0, help="then for what is not ready yet")
    parser.add_argument("--sweeps", nargs="+", choices=methods.SWEEPS, default=methods.SWEEPS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--results", type=Path, metavar="FOLDER")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    methods.SWEEPS = options.sweeps
    if options.rows and not (options.results or options.quick):
        parser.error("--rows measures parts of groups: expected --results, so that whole ones stay")
    # A process that takes most of a device's memory for itself leaves none to the others.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    jax.config.update("jax_enable_compilation_cache", False)
    if options.worker:
        work(options.quick)
        return 0
    rows = []
    for group in options.only:
        try:
            found = jobs(group, options.quick)
        except Exception as error:  # absent, or broken by what it imports
            run.say(f"{group}: {run.reason(error)}\n")
            continue
        rows += [
            (group, i)
            for i, job in enumerate(found)
            if not options.rows or options.rows.search(job.name)
        ]
    if not rows:
        parser.error(
            f"{options.only} have no row that could be measured, or whose name matches --rows"
        )
    return Lead(rows, options).run([sys.executable, *sys.argv, "--worker"])


if __name__ == "__main__":
    sys.exit(main())
