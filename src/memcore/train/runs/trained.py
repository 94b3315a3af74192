"""What a finished run left: its model, to be used again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

import memcore
from memcore import plugins, tasks
from memcore.cell import Model
from memcore.compose import ResidualStack
from memcore.train.objective.config import completed
from memcore.train.runs.files import read_json
from memcore.train.runs.folder import RunFolder
from memcore.types import Params

LONG = 4_096
"""Longer rows are streamed in segments of so many steps, the state carried on."""


def settings(path: Path) -> dict[str, Any]:
    """The configuration in a run's folder, as JSON: its task may be one that is not there any more.

    Options of the task whose files the folder keeps name them there. The run's plugins are loaded.

    Raises FileNotFoundError where there is no run or no trained model yet.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise FileNotFoundError(f"{path} holds no run: there is no {folder.config.name}")
    if not folder.model.exists():
        raise FileNotFoundError(
            f"{path} holds no trained model yet: there is no {folder.model.name}; to go on: memcore "
            f"train --resume {path}"
        )
    values: dict[str, Any] = _settings(folder.config)
    plugins.load(values.get("imports", ()))
    for option in getattr(tasks.tasks.get(values["task"]["name"]), "keeps", ()):
        if folder.kept(option).exists():
            values["task"][option] = str(folder.kept(option).absolute())
    return values


def _settings(path: Path) -> dict[str, Any]:
    """The JSON of a configuration whose task has a name; ValueError where it is none."""
    try:
        values = completed(read_json(path))
        values["task"]["name"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the configuration of a run: {error}") from error
    return values


def trained(path: Path) -> tuple[Model, Params]:
    """The model of a finished run and its parameters, as JAX's arrays."""
    model, params = memcore.load(RunFolder(path).model)
    return model, jax.tree.map(jax.numpy.asarray, params)


def computing(model: Model, precision: str) -> Model:
    """The model as it computes in that precision; see `Config.computing`."""
    if precision == "float32" or not getattr(model, "tokens", False):
        return model
    return replace(model, token_dtype=precision)  # type: ignore[call-arg]


def streamed(model: Model, length: int, segment: int = 0) -> int:
    """Steps of a segment in which rows of `length` steps are given to a model; 0: all at once.

    `segment` is what was asked for, 0 for nothing in particular.
    """
    return segment or (LONG if length > LONG and model.causal else 0)


def beyond(model: Model, length: int) -> str:
    """A sentence where rows of `length` steps go beyond the model's learned positions, else nothing."""
    if not isinstance(model, ResidualStack) or not model.position or length <= model.max_length:
        return ""
    return (
        f"the model has {model.max_length:,} learned positions, and rows have {length:,} steps: the later "
        "steps share the last one, which was not trained for that"
    )
