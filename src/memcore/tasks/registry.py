"""Names of tasks: for the command line and for run folders."""

import difflib
from collections.abc import Callable
from typing import TypeVar

from memcore.tasks.base import Task

T = TypeVar("T", bound=type)

tasks: dict[str, type[Task]] = {}


def register(name: str) -> Callable[[T], T]:
    """Class decorator: enter a task into `tasks` under `name`, which becomes its `name`.

    Raises ValueError where the name already belongs to another class.
    """

    def enter(cls: T) -> T:
        if tasks.setdefault(name, cls) is not cls:
            raise ValueError(f"name {name!r} is already the task {tasks[name].__qualname__}")
        cls.name = name
        return cls

    return enter


def task_class(name: str) -> type[Task]:
    """The class registered as `name`; ValueError with the nearest names if there is none."""
    if name not in tasks:
        near = difflib.get_close_matches(name, tasks, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"unknown task {name!r}{hint} (tasks: {', '.join(sorted(tasks))})")
    return tasks[name]


def make(name: str, **options: object) -> Task:
    """The task registered as `name` with these options: `make("repeat_first", length=32)`."""
    return task_class(name)(**options)
