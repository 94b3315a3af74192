"""`memcore evaluate`: how well a run's model does on a split, at this length and at others."""

import dataclasses
import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from memcore import tasks
from memcore.tasks import Packed, Split, Task
from memcore.train.commands.reported import reported
from memcore.types import Value

PROG = "memcore evaluate"


@dataclass(frozen=True)
class Options:
    """Evaluate the model of a finished run.

    All the fields of the run's task are options, --task-options.*, and are as the run had them: see
    memcore evaluate RUN --help. Rows of more than 4,096 steps are streamed, the state carried on.
    """

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    split: Split = "test"
    """On which split."""
    length: tuple[int, ...] = ()
    """Steps of a row, one or more, each a line; without it the run's."""
    batch_size: int | None = None
    """Rows at once; without it the run's."""
    segment: int | None = None
    """Steps at once, the state carried on; without it as the run; 0: all, but for very long rows."""
    evaluate_rows: int | None = None
    """How many rows of the split, the first ones; without it as the run, 0: all."""


@reported(PROG)
def main(arguments: Sequence[str]) -> None:
    """Run the command; returns its exit code: 2 where arguments or data are not as they should be."""
    options, values = parse(arguments)
    print(_head(options, values))
    for line in lines(options, values):
        print(line, flush=True)


def parse(arguments: Sequence[str]) -> tuple[Value, dict[str, Any]]:
    """`Options` with the fields `task_options` and `pack`, and the run's configuration as JSON.

    The run comes first: it says which options its task has. Prints and exits (SystemExit) for --help and
    for what tyro does not understand.
    """
    describe = inspect.getdoc(Options)
    if not arguments or arguments[0].startswith("-"):
        tyro.cli(Options, args=arguments, prog=PROG, description=describe)
        raise ValueError(f"{arguments[0]!r} comes first, expected the folder of a run")
    from memcore.train.runs.trained import settings

    values = settings(Path(arguments[0]).expanduser())
    task = tasks.make(**values["task"])
    plain, pack = (task.task, task.pack) if isinstance(task, Packed) else (task, 1)
    fields: list[Value] = [("pack", int, pack), ("task_options", type(plain), plain)]
    options = dataclasses.make_dataclass("Evaluate", fields, bases=(Options,), frozen=True)
    return tyro.cli(options, args=arguments, prog=PROG, description=describe), values


def lines(options: Value, values: dict[str, Any]) -> Iterator[str]:
    """A line for each length: rows, steps, loss and metric."""
    # After parsing: --help answers without loading jax and its company.
    import optax

    from memcore.tasks.base.streams import look, rows_of
    from memcore.train.learners import make_learner
    from memcore.train.objective.config import Config
    from memcore.train.objective.objective import Objective
    from memcore.train.runs.evaluation import evaluate
    from memcore.train.runs.progress import shown
    from memcore.train.runs.trained import beyond, streamed, trained

    model, params = trained(options.run.expanduser())
    names = ("batch_size", "segment", "evaluate_rows")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    for task in with_lengths(options):
        config = Config.from_json({**values, **given, "task": tasks.to_config(task)})
        segment = streamed(model, task.length, config.segment)
        look(task, segment, splits=(options.split,))
        objective = Objective(task.loss, config.precision)
        learner = make_learner("core", config.computing, params, optax.identity(), objective)
        rows = config.evaluate_rows
        found = evaluate(learner, task, options.split, config.batch_size, segment, rows)
        count = min(rows or rows_of(task, options.split), rows_of(task, options.split))
        example = task.task if isinstance(task, Packed) else task
        if warning := beyond(model, example.length):
            print(f"{PROG}: {warning}", file=sys.stderr)
        value = shown(task.metric, found[task.metric])
        last = f"{value:>{_width(task.metric)}}"
        yield f"{count:>8,}{task.length:>12,}{found['loss']:>12.4f}{last}"


def with_lengths(options: Value) -> Iterator[Task]:
    """The task at each length; ValueError where its rows have no length to choose."""
    task, pack = options.task_options.resolved(), options.pack
    if options.length and "length" not in {field.name for field in dataclasses.fields(task)}:
        names = ", ".join(f"--task-options.{field.name}" for field in dataclasses.fields(task))
        raise ValueError(
            f"length is {options.length[0]}, expected none: the rows of {task.name} are as long as its "
            f"options make them ({names or 'it has none'})"
        )
    for length in options.length or (None,):
        chosen = task if length is None else dataclasses.replace(task, length=length)
        yield chosen if pack == 1 else Packed(chosen, pack)


def _head(options: Value, values: dict[str, Any]) -> str:
    metric = options.task_options.metric
    title = f"{options.run} on {options.task_options.title}, {options.split}"
    return f"{title}\n{'rows':>8}{'steps':>12}{'loss':>12}{metric:>{_width(metric)}}"


def _width(metric: str) -> int:
    """Of the metric's column."""
    return max(12, len(metric) + 2)
