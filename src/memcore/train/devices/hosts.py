"""Several processes that train one run, over `jax.distributed`.

All do the same, each with rows and devices of its own; the first one speaks: only it prints and writes
files, but for the checkpoints, of which each writes what it has. They share the run's folder.
"""

import json
import sys
import threading
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils

from memcore.types import Value

HEARTBEAT = 20
"""Seconds without a sign of life after which the others take a process for dead."""

MEETING = 300
"""Seconds that a process waits for the others to come."""
SILENT = 10
"""Seconds of them before it says so."""

Hosts = tuple[str, int, int]
"""The address of the first process, how many there are, and which one this is."""


class Agreed(ValueError):
    """What went wrong in the first process, in all of them."""


def join(hosts: Hosts | None) -> None:
    """Meet the other processes; None: JAX asks Slurm, MPI or the cloud where they are.

    Raises ValueError where it finds none of these.
    """
    waiting = threading.Timer(SILENT, _say_who_waits, [hosts])
    waiting.daemon = True
    waiting.start()
    # SIGTERM ends a run after the step at hand, on all hosts: see `Interrupts`.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            *(hosts or ()),
            initialization_timeout=MEETING,
            heartbeat_timeout_seconds=HEARTBEAT,
            shutdown_timeout_seconds=HEARTBEAT,
        )
    except ValueError as error:
        raise ValueError(
            "hosts is 'auto', expected coordinator=HOST:PORT,count=N,index=I where JAX finds no cluster: "
            f"{error}"
        ) from error
    finally:
        waiting.cancel()


def _say_who_waits(hosts: Hosts | None) -> None:
    """A line before JAX ends the process, which it does without a word about hosts."""
    where = "for the others"
    if hosts is not None:
        address, count, index = hosts
        where = (
            f"as process {index} of {count} for the others, whose first is expected at {address}"
        )
    print(
        f"memcore train: waiting {where}; without them JAX ends this one after {MEETING} s",
        file=sys.stderr,
        flush=True,
    )


def part() -> tuple[int, int]:
    """Which process this is, from 0, and of how many."""
    return jax.process_index(), jax.process_count()


def first() -> bool:
    """Whether this is the process that speaks."""
    return jax.process_index() == 0


def most(*numbers: int) -> list[int]:
    """The largest of each number that any process gave; all have to ask."""
    if jax.process_count() == 1:
        return [int(number) for number in numbers]
    given = multihost_utils.process_allgather(np.asarray(numbers, np.int32))
    return [int(number) for number in np.max(given, axis=0)]


def by_first(act: Callable[[], Value]) -> Value:
    """What `act` gives in the first process, which alone calls it: a value for JSON, for all of them.

    Where it raises an error of arguments or files, all raise `Agreed`; one process alone raises what it is.
    """
    if jax.process_count() == 1:
        return act()
    answer: dict[str, Value] = {}
    if first():
        try:
            answer = {"value": act()}
        except (ValueError, TypeError, OSError) as error:
            answer = {"error": str(error)}
    answer = _tell(answer)
    if "error" in answer:
        raise Agreed(answer["error"])
    return answer["value"]


def _tell(answer: dict[str, Value]) -> dict[str, Value]:
    """What the first process says."""
    text = np.frombuffer(json.dumps(answer).encode(), np.uint8)
    [size] = most(len(text) if first() else 0)
    room = np.zeros(size, np.uint8)
    if first():
        room[:] = text
    heard: dict[str, Value] = json.loads(
        bytes(np.asarray(multihost_utils.broadcast_one_to_all(room)))
    )
    return heard
