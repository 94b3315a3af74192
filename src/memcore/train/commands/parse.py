"""The two passes over the arguments of `memcore train`.

The first reads the names of task and model; the second knows all their options.
"""

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro

from memcore import tasks
from memcore.cell import Model
from memcore.registry import alone
from memcore.tasks import Task
from memcore.tasks.base.checks import at_least, check_types
from memcore.train.commands.base import STACK, read, stack, values
from memcore.train.commands.hybrids import hybrid, is_hybrid
from memcore.train.commands.models import chosen, normal, sizes
from memcore.train.commands.none import may_be_none, with_none
from memcore.train.commands.options import Names, Options
from memcore.train.commands.places import Places, places
from memcore.train.commands.stack import network
from memcore.train.objective.config import Config, OptimizerOptions
from memcore.train.runs.folder import RunFolder
from memcore.types import Value

PROG = "memcore train"

RESUMED = ("resume", "steps", "tensorboard", "mesh", "shard_parameters", "hosts")
"""The options that --resume may have beside it."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the arguments ask for: a run, its folder, its devices, whether TensorBoard is told, what varies.

    A finished run with `extended` goes on to the steps of this configuration.
    """

    config: Config
    folder: Path
    places: Places = Places()
    tensorboard: bool = False
    sweep: tuple[str, ...] = ()
    extended: bool = False


def parse(arguments: Sequence[str]) -> Plan:
    """What the arguments ask for.

    Prints and exits (SystemExit) for --help and for what tyro does not understand. Raises
    ValueError for options that make no sense, FileNotFoundError for a --resume without a run.
    """
    names, others = _named(arguments, Names())
    if names.resume is not None and "--help" not in others and "-h" not in others:
        return _resumed(names, others)
    base = None if names.config is None else read(names.config.expanduser())
    said = values(base, {*Options.__dataclass_fields__, "optimizer"})
    # What the arguments do not say is said by the file.
    first = {name: said[name] for name in ("task", "model", "width") if name in said}
    names, _ = _named(arguments, Names(**first))
    kind = options_of(names, said)
    known = with_none(arguments, may_be_none(kind))
    scalars = set(said) & set(Options.__dataclass_fields__) - {"task", "model"}
    begin = kind(**{name: said[name] for name in scalars})
    options: Value = tyro.cli(
        kind, args=known, default=begin, prog=PROG, description=inspect.getdoc(Options)
    )
    # A model that is named replaces those of a file, be it the one that is taken where none is named.
    asked = any(argument.partition("=")[0] == "--model" for argument in arguments)
    other = names.model != said.get("model", Names.model) or (asked and "model" not in said)
    changed = other or any(
        getattr(options, name, None) != getattr(begin, name, None) for name in STACK
    )
    folder = options.out.expanduser() if options.out else _folder(options)
    config, where = _config(options, base, changed), places(options)
    if options.sweep and where != Places():
        raise ValueError(
            "--sweep trains on one device, expected no --mesh and no --hosts beside it"
        )
    return Plan(config, folder, where, options.tensorboard, options.sweep)


def _named(arguments: Sequence[str], default: Names) -> tuple[Names, list[str]]:
    """The first pass: what it reads, and the arguments that it does not know."""
    found: tuple[Names, list[str]] = tyro.cli(
        Names,
        args=arguments,
        default=default,
        return_unknown_args=True,
        add_help=False,
        prog=PROG,
    )
    return found


def _resumed(names: Names, others: list[str]) -> Plan:
    assert names.resume is not None
    may = {name: getattr(names, name) for name in RESUMED}
    if others or names != Names(**may):
        raise ValueError(
            "--resume takes no other option but --steps, and those that say on which devices: the run's "
            "folder has them all"
        )
    folder, where = names.resume.expanduser(), places(names)
    config = RunFolder(folder).read_config(names.steps)
    return Plan(config, folder, where, names.tensorboard, extended=names.steps is not None)


def options_of(names: Names, said: dict[str, Any] | None = None) -> type:
    """`Options` with the names as choices, and the fields of the named task and model.

    The defaults are what a configuration has `said` of the same task and model.
    """
    task, said = tasks.task_class(names.task), said or {}
    task_options = said["task_options"] if said.get("task") == names.task else task()
    fields: list[Value] = [
        ("task", Literal[tuple(sorted(tasks.tasks))], names.task),
        (
            "optimizer",
            tyro.conf.OmitArgPrefixes[OptimizerOptions],
            said.get("optimizer", OptimizerOptions()),
        ),
        *([] if is_hybrid(names.model) else _of_one_model(names, said)),
        ("task_options", task, task_options),
    ]
    return dataclasses.make_dataclass("Train", fields, bases=(Options,), frozen=True)


def _of_one_model(names: Names, said: dict[str, Any]) -> list[Value]:
    """The options `model`, with the names as choices, and `cell`, its fields."""
    model, given = chosen(names.model)
    kind = _cell_options(model)
    same = said.get("cell") if type(said.get("cell")) is model else None
    before = sizes(model, names.width) if same is None else _fields(same)
    cell = kind(**{**before, **given, "in_features": 0})
    check_types(cell)
    choices = Literal[tuple(sorted({*alone(), names.model}))]  # type: ignore[valid-type]
    return [("model", choices, names.model), ("cell", kind, cell)]


def _cell_options(model: type[Model]) -> type:
    """A model's class less its `in_features`, which is the width, and less its checks.

    The checks run on the model that is built when the width is known. Fields that hold models
    keep their defaults.
    """
    hidden: list[Value] = [("in_features", tyro.conf.Suppress[int], 0)]
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


def _fields(value: Value) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _config(options: Value, base: Config | None, changed: bool) -> Config:
    for name in ("width", "pack"):
        at_least(name, getattr(options, name), 1)
    model = _model(options)
    task = packed(options.task_options, options.pack)
    made = network(task, model, layers=_layers(options.layers, model), position=options.position)
    return Config(
        task=task,
        model=stack(base, changed, task, made),
        framework=options.framework,
        steps=options.steps,
        batch_size=options.batch_size,
        seed=options.seed,
        precision=options.precision,
        segment=options.segment,
        patience=options.patience,
        monitor=options.monitor,
        evaluate_rows=options.evaluate_rows,
        optimizer=options.optimizer,
        validate_every=options.validate_every,
        checkpoint_every=options.checkpoint_every,
        init=options.init and str(options.init.expanduser().absolute()),
    )


def _model(options: Value) -> Model | tuple[Model, ...]:
    """The model of all layers, or those of the layers in turn."""
    if is_hybrid(options.model):
        return hybrid(options.model, options.width)
    cls, _ = chosen(options.model)
    return cls(**{**_fields(options.cell), "in_features": options.width})


def _layers(given: int | None, model: Model | tuple[Model, ...]) -> int:
    """How many blocks there are; ValueError where a model would have none."""
    if given is None:
        return max(2, len(model)) if isinstance(model, tuple) else 2
    at_least("layers", given, len(model) if isinstance(model, tuple) else 1)
    return given


def packed(task: Task, pack: int) -> Task:
    """The task, its folders made absolute, or with `pack` of its examples in a row."""
    task = task.resolved()
    return task if pack == 1 else tasks.Packed(task, pack)


def _folder(options: Value) -> Path:
    model = normal(options.model).translate(str.maketrans(":,*", "++x")).replace(" ", "")
    name = f"{options.task}-{model}-{options.framework}-{options.seed}"
    return unused(Path("runs") / name)


def unused(folder: Path) -> Path:
    """The first of the folders 1, 2, ... in this one that no run has had."""
    numbers = [int(path.name) for path in folder.glob("[0-9]*") if path.name.isdecimal()]
    return folder / str(max(numbers, default=0) + 1)
