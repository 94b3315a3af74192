"""Names of tasks: for the command line and for run folders."""

import difflib
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np

from memcore.tasks.base.packing import Packed
from memcore.tasks.base.task import Task
from memcore.types import Value

T = TypeVar("T", bound=type)

tasks: dict[str, type[Task]] = {}


def register(name: str) -> Callable[[T], T]:
    """Class decorator: enter a task into `tasks` under `name`, which becomes its `name`.

    Raises ValueError where the name already belongs to another class.
    """

    def enter(cls: T) -> T:
        registered: object = tasks.setdefault(name, cls)
        if registered is not cls:
            raise ValueError(f"name {name!r} is already the task {tasks[name].__qualname__}")
        cls.name = name  # type: ignore[attr-defined]
        return cls

    return enter


def task_class(name: str) -> type[Task]:
    """The class registered as `name`; ValueError with the nearest names if there is none."""
    if name not in tasks:
        near = difflib.get_close_matches(name, tasks, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"unknown task {name!r}{hint} (tasks: {', '.join(sorted(tasks))})")
    return tasks[name]


def make(name: str, *, pack: int = 1, **options: object) -> Task:
    """The task registered as `name` with these options: `make("repeat_first", length=32)`.

    `pack` is an option of every task: how many of its examples share a row (see `Packed`).
    """
    task = task_class(name)(**options)
    packed = Packed(task, pack)
    return task if pack == 1 else packed


def to_config(task: Task) -> dict[str, Any]:
    """A dict of what JSON knows; `make(**to_config(task))` is the same task."""
    if isinstance(task, Packed):
        return {**to_config(task.task), "pack": _plain(task.pack)}
    return {"name": task.name, **{name: _plain(value) for name, value in asdict(task).items()}}


def _plain(value: Value) -> Value:
    """Numbers of NumPy and paths, which options may be, as what JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    return os.fspath(value) if isinstance(value, os.PathLike) else value
