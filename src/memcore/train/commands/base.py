"""A configuration from a file, as the defaults of the options of `memcore train`."""

import dataclasses
from pathlib import Path
from typing import Any

from memcore.compose import ResidualStack
from memcore.registry import name_of
from memcore.tasks import Packed, Task
from memcore.train.objective.config import Config
from memcore.train.runs.folder import read_config
from memcore.types import Value

STACK = ("model", "cell", "layers", "width", "position")
"""The options that make the stack."""


def read(path: Path) -> Config:
    """The configuration in a file, YAML or JSON, as a run's `config.json`; only task and model must be there.

    Raises FileNotFoundError where there is no file, ValueError where it is no configuration.
    """
    if not path.is_file():
        raise FileNotFoundError(f"config is {path}, expected a file")
    return read_config(path)


def values(base: Config | None, known: set[str]) -> dict[str, Any]:
    """The `known` options that a configuration says something of; of its model where a name can say it."""
    if base is None:
        return {}
    said = {name: getattr(base, name) for name in Config.__dataclass_fields__ if name in known}
    said["init"] = base.init and Path(base.init)
    task = base.task
    said["pack"] = task.pack if isinstance(task, Packed) else 1
    said["task_options"] = task.task if isinstance(task, Packed) else task
    said["task"] = said["task_options"].name
    if isinstance(base.model, ResidualStack):
        said |= {name: getattr(base.model, name) for name in ("layers", "width", "position")}
    del said["model"]
    if isinstance(base.model, ResidualStack) and len(base.model.models) == 1:
        said |= {"model": name_of(base.model.models[0]), "cell": base.model.models[0]}
    return said


def stack(base: Config | None, changed: bool, task: Task, made: ResidualStack) -> Value:
    """The model of a run: `made` from the options, with what only the base's stack says.

    Where the options of the stack were not changed its models are the base's.
    """
    if base is None or (changed and not isinstance(base.model, ResidualStack)):
        return made
    if task == base.task and not changed:
        return base.model
    if not isinstance(base.model, ResidualStack):
        raise ValueError("config has a model that is no residual_stack, expected its own task")
    names = ("in_features", "out_features", "tokens", "max_length", *(STACK if changed else ()))
    taken = {name: getattr(made, name) for name in names if name not in ("cell", "width")}
    return dataclasses.replace(base.model, **taken)
