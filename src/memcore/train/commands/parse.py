"""The two passes over the arguments of `memcore train`.

The first reads the names of task and model; the second knows all their options.
"""

import dataclasses
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro

from memcore import tasks
from memcore.cell import Model
from memcore.registry import lookup, registry
from memcore.tasks import Task
from memcore.train.commands import models
from memcore.train.commands.options import Names, Options
from memcore.train.commands.stack import network
from memcore.train.objective.config import Config, OptimizerOptions
from memcore.train.runs.folder import RunFolder

PROG = "memcore train"


def parse(arguments: Sequence[str]) -> tuple[Config, Path]:
    """The configuration and the folder that the arguments ask for.

    Prints and exits (SystemExit) for --help and for what tyro does not understand. Raises
    ValueError for options that make no sense, FileNotFoundError for a --resume without a run.
    """
    names, others = tyro.cli(
        Names, args=arguments, return_unknown_args=True, add_help=False, prog=PROG
    )
    if names.resume is not None and "--help" not in others and "-h" not in others:
        return _resumed(names, others)
    options: Any = tyro.cli(
        options_of(names), args=arguments, prog=PROG, description=inspect.getdoc(Options)
    )
    return _config(options), options.out or _folder(options)


def _resumed(names: Names, others: list[str]) -> tuple[Config, Path]:
    assert names.resume is not None
    if others or names != Names(resume=names.resume):
        raise ValueError("--resume takes no other option: the run's folder has them all")
    return RunFolder(names.resume).read_config(), names.resume


def options_of(names: Names) -> type:
    """`Options` with the names as choices, and the fields of the named task and model."""
    task = tasks.task_class(names.task)
    fields: list[Any] = [
        ("task", Literal[tuple(sorted(tasks.tasks))], names.task),
        ("optimizer", tyro.conf.OmitArgPrefixes[OptimizerOptions], OptimizerOptions()),
        ("task_options", task, task()),
    ]
    if models.plain(names.model):
        cell = _cell_options(lookup(names.model))
        fields.append(("model", Literal[tuple(sorted(registry))], names.model))
        fields.append(("cell", cell, cell()))
    return dataclasses.make_dataclass("Train", fields, bases=(Options,), frozen=True)


def _cell_options(model: type[Model]) -> type:
    """A model's class less its `in_features`, which is the width, and less its checks.

    The checks run on the model that is built when the width is known. Fields that hold models
    keep their defaults.
    """
    hidden: list[Any] = [("in_features", tyro.conf.Suppress[int], 0)]
    for field in dataclasses.fields(model):
        if isinstance(field.default, Model):
            hidden.append((field.name, tyro.conf.Suppress[tyro.conf.Fixed[Any]], field.default))
    return dataclasses.make_dataclass(
        model.__name__,
        hidden,
        bases=(model,),
        frozen=True,
        namespace={"__post_init__": lambda self: None, "__doc__": model.__doc__},
    )


def _config(options: Any) -> Config:
    model = _model(options)
    task = packed(options.task_options, options.pack)
    return Config(
        task=task,
        model=network(
            task,
            model,
            layers=_layers(options.layers, model),
            position=None if options.position == "none" else "learned",
        ),
        framework=options.framework,
        steps=options.steps,
        batch_size=options.batch_size,
        seed=options.seed,
        precision=options.precision,
        segment=options.segment,
        patience=options.patience,
        evaluate_rows=options.evaluate_rows,
        optimizer=options.optimizer,
        validate_every=options.validate_every,
        checkpoint_every=options.checkpoint_every,
    )


def _model(options: Any) -> Model | tuple[Model, ...]:
    """The models of the layers, from the model's text or from its name and --cell.*."""
    if not models.plain(options.model):
        return models.models(options.model, options.width)
    fields = dataclasses.fields(options.cell)
    chosen = {field.name: getattr(options.cell, field.name) for field in fields}
    return lookup(options.model)(**{**chosen, "in_features": options.width})


def _layers(given: int | None, model: Model | tuple[Model, ...]) -> int:
    """How many blocks there are; ValueError where a model would have none."""
    least = len(model) if isinstance(model, tuple) else 1
    if given is not None and given < least:
        raise ValueError(f"layers is {given}, expected {least} or more: the model names as many")
    return given or max(2, least)


def packed(task: Task, pack: int) -> Task:
    """The task, its folders made absolute, or with `pack` of its examples in a row."""
    task = task.resolved()
    return task if pack == 1 else tasks.Packed(task, pack)


def _folder(options: Any) -> Path:
    model = re.sub(r"[^\w.=-]+", "+", options.model)
    name = f"{options.task}-{model}-{options.framework}-{options.seed}"
    return Path("runs") / name
