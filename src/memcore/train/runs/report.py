"""What a run ends with: its summary, as JSON and as a table."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

import memcore
from memcore.cell import Model
from memcore.compose import ResidualStack
from memcore.registry import name_of
from memcore.train.objective.config import Config
from memcore.train.runs.files import finite, numbers, read_json, write_json
from memcore.train.runs.progress import shown
from memcore.types import Params


@dataclass(frozen=True)
class Summary:
    """The result of a finished run; accuracies from 0 to 1."""

    task: str
    """The task's title: its name, and which images it reads where it reads any."""
    model: str
    framework: str
    metric: str
    """What the task reports: `accuracy`, or an error."""
    parameters: int
    state_size: int
    """Numbers that the model carries from step to step, per sequence."""
    steps: int
    train_loss: float | None
    """Mean over the last steps, up to 100; None where nothing was asked in them, or it is not finite."""
    validation_loss: float
    validation_metric: float
    test_loss: float
    test_metric: float
    seconds: float
    """Training time, checks and compilation included, over all its sittings."""
    step_seconds: float | None
    """Mean time of a training step, without compilation and checks; None where none was timed."""
    best_step: int | None = None
    """After which step the tested parameters were; None for runs of older versions: after the last."""
    seed: int | None = None
    version: str | None = None
    """Of memcore."""
    config: dict[str, Any] | None = None
    """The configuration, as in `config.json`."""

    def to_json(self) -> dict[str, Any]:
        """A dict of what JSON knows; numbers that are not finite are None."""
        values: dict[str, Any] = finite(asdict(self))
        return values

    def write(self, path: Path) -> None:
        """Write the summary as JSON."""
        write_json(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> "Summary":
        """The summary that `write` wrote; its losses and metrics are NaN where they were not finite."""
        return cls.from_json(read_json(path))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Summary":
        """The summary of which these are the values of `to_json`."""
        results = ("validation_loss", "validation_metric", "test_loss", "test_metric")
        return cls(**{**values, **numbers({key: values[key] for key in results})})


def show(console: Console, summary: Summary) -> None:
    """Print what a run ended with, a line for each value."""
    validation, test = (f"{split} {summary.metric}" for split in ("validation", "test"))
    values = {
        "framework": summary.framework,
        "parameters": f"{summary.parameters:,}",
        "state": f"{summary.state_size:,}",
        "steps": f"{summary.steps:,}, best after {summary.best_step or summary.steps:,}",
        "train loss": "-" if summary.train_loss is None else f"{summary.train_loss:.4f}",
        validation: shown(summary.metric, summary.validation_metric),
        test: shown(summary.metric, summary.test_metric),
        "time": f"{summary.seconds:.0f} s",
    }
    _list(console, f"{summary.model} on {summary.task}", values)


def introduce(console: Console, config: Config, params: Params, folder: Path) -> None:
    """Print what is about to be trained: model, parameters, state, folder."""
    parameters, state = sizes(config.model, params)
    values = {
        "framework": config.framework,
        "parameters": f"{parameters:,}",
        "state": f"{state:,} numbers a sequence",
        "data": f"{config.batch_size} rows of {config.task.length:,} steps",
        "folder": str(folder),
    }
    _list(console, f"{describe(config.model)} on {config.task.title}", values)


def _list(console: Console, title: str, values: dict[str, str]) -> None:
    grid = Table(title=title, show_header=False, box=None, title_justify="left")
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in values.items():
        grid.add_row(name, value)
    console.print(grid, highlight=False)


def sizes(model: Model, params: Params) -> tuple[int, int]:
    """How many parameters a model has, and how many numbers it carries from step to step."""
    state = jax.eval_shape(lambda p: memcore.initial_state(model, p), params)
    counts = [sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (params, state)]
    return counts[0], counts[1]


def describe(model: Model) -> str:
    """A model in a few words: `2 x gru`."""
    if not isinstance(model, ResidualStack):
        return name_of(model)
    return f"{model.layers} x {', '.join(describe(part) for part in model.models)}"


def train_loss(lines: list[dict[str, Any]]) -> float | None:
    """Mean training loss over the last steps, up to 100, of a run's metrics; None where nothing counted."""
    losses = [line["loss"] for line in lines if line["split"] == "train"][-100:]
    return finite(sum(losses) / len(losses)) if losses else None
