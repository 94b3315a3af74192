"""Names of tasks: for the command line and for run folders."""

import difflib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from memcore.tasks.base import Task
from memcore.tasks.packing import Packed

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
    return task if pack == 1 and pack is not True else Packed(task, pack)


def to_config(task: Task) -> dict[str, Any]:
    """A dict of what JSON knows; `make(**to_config(task))` is the same task."""
    if isinstance(task, Packed):
        return {**to_config(task.task), "pack": task.pack}
    values = {
        name: getattr(value, "item", lambda v=value: v)() for name, value in asdict(task).items()
    }
    return {"name": task.name, **values}
