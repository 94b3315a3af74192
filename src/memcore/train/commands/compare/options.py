"""The options of `memcore compare`, and the plan of runs that follows from them."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import jax
import tyro

from memcore.cell import Model
from memcore.compose import ResidualStack
from memcore.registry import alone
from memcore.tasks import Task
from memcore.tasks.base.checks import at_least
from memcore.tasks.base.registry import to_config
from memcore.train.commands.models import built, chosen, normal, split
from memcore.train.commands.stack import network
from memcore.train.objective.config import (
    Config,
    Framework,
    Monitor,
    OptimizerOptions,
    Precision,
)
from memcore.types import Value


@dataclass(frozen=True)
class SharedOptimizer(OptimizerOptions):
    """The optimizer of all runs; the learning rates are an option of their own."""

    learning_rate: tyro.conf.Suppress[float] = OptimizerOptions.learning_rate


GRAIN = 16
"""Widths are multiples of this, so that heads divide them."""
WIDEST = 4096


@dataclass(frozen=True)
class Options:
    """Train several models on a task, and set them side by side.

    Every run sees the same data in the same order. Runs that are finished are not run again: the same
    command goes on after an interruption, and takes in models and seeds that it did not have before. All
    the task's fields are options, --task-options.*: see the help with another --task.
    """

    task: str = "digits"
    """What to learn."""
    pack: int = 1
    """How many examples of the task share a row, each beginning with a start."""
    models: str = "all"
    """Names with commas between them, or all registered models. Fields stand behind a name, as in
    gated_delta_net:negative_eigenvalues=true,heads=2."""
    framework: Framework = Config.framework
    """What wraps the models; the numbers are the same."""
    seeds: int = 1
    """Runs of each model: seeds 0, 1, ...; the table has their mean and spread."""
    positions: Literal["both", "none", "learned"] = "both"
    """Whether the stack adds the step's number since the last start: each model without, with, or both."""
    width: int = 64
    """Width of every stack, and of the state of its models where that is a vector."""
    parameters: int = 0
    """Equal budgets instead: each stack as wide as it can be with at most so many parameters."""
    layers: int = 2
    """Blocks of every stack."""
    learning_rates: tuple[float, ...] = (OptimizerOptions.learning_rate,)
    """Each model is trained with each; the table has the one of the lowest validation loss."""
    steps: int = 400
    """Updates of the parameters in each run."""
    batch_size: int = Config.batch_size
    """Rows in a batch."""
    precision: Precision = Config.precision
    """In which the models compute."""
    segment: int = Config.segment
    """Time steps of a row that an update sees, the state carried on; 0: all."""
    patience: int = Config.patience
    """Checks that are no better than the best one that end a run; 0: none."""
    monitor: Monitor = Config.monitor
    """What the best check is judged by: the validation loss, or the task's metric."""
    optimizer: tyro.conf.OmitArgPrefixes[SharedOptimizer] = field(default_factory=SharedOptimizer)
    evaluate_rows: int = Config.evaluate_rows
    """How many rows of a split are evaluated, the first ones; 0: all."""
    validate_every: int = Config.validate_every
    """Steps between checks on the validation split."""
    out: Path | None = None
    """Folder of the comparison; without it, runs/compare-TASK."""

    def __post_init__(self) -> None:
        for name in ("seeds", "width", "layers", "steps", "batch_size", "validate_every", "pack"):
            at_least(name, getattr(self, name), 1)
        for name in ("parameters", "segment", "patience", "evaluate_rows"):
            at_least(name, getattr(self, name), 0)
        rates = self.learning_rates
        if (
            not rates
            or len(set(rates)) < len(rates)
            or not all(0 < rate < math.inf for rate in rates)
        ):
            raise ValueError(
                f"learning_rates is {rates}, expected one or more positive finite numbers, each once"
            )

    @property
    def names(self) -> list[str]:
        """The models as text; ValueError for one that is not registered or comes twice."""
        if self.models == "all":
            return sorted(name for name, cls in alone().items() if cls is not ResidualStack)
        names = [normal(name) for name in split(self.models)]
        for name in names:
            chosen(name, "models")
        if len(set(names)) < len(names):
            raise ValueError(f"models is {self.models!r}, expected each name once")
        return names

    @property
    def folder(self) -> Path:
        """Where the comparison lives."""
        return self.out.expanduser() if self.out else Path("runs") / f"compare-{self.task}"

    def settings(self, task: Task) -> dict[str, Any]:
        """What all runs of a comparison share, as JSON: models, seeds and rates may still join."""
        values = {name: getattr(self, name) for name in Options.__dataclass_fields__}
        for name in ("models", "seeds", "positions", "learning_rates", "out"):
            del values[name]
        return {**values, "optimizer": asdict(self.optimizer), "task": to_config(task)}


@dataclass(frozen=True)
class Entry:
    """One run of a comparison: `build` makes its configuration, or raises."""

    model: str
    position: Literal["learned"] | None
    learning_rate: float
    seed: int
    options: Options
    task: Task

    @property
    def label(self) -> str:
        """The row that the run belongs to."""
        return f"{self.model} + positions" if self.position else self.model

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        position = "positions" if self.position else "plain"
        model = self.model.replace(":", "+").replace(",", "+")
        name = f"{model}-{position}-{float(self.learning_rate)!r}-{self.seed}"
        return self.options.folder / "runs" / name

    def build(self) -> Config:
        """The configuration of the run."""
        options = self.options
        shared = {**asdict(options.optimizer), "learning_rate": self.learning_rate}
        return Config(
            task=self.task,
            model=self._stack(),
            framework=options.framework,
            steps=options.steps,
            batch_size=options.batch_size,
            seed=self.seed,
            precision=options.precision,
            segment=options.segment,
            patience=options.patience,
            evaluate_rows=options.evaluate_rows,
            monitor=options.monitor,
            optimizer=OptimizerOptions(**shared),
            validate_every=options.validate_every,
            checkpoint_every=max(options.validate_every, options.steps),
        )

    def _stack(self) -> Model:
        if not self.options.parameters:
            return self._of_width(self.options.width)
        return widest(self._of_width, self.options.parameters)

    def _of_width(self, width: int) -> Model:
        model = built(self.model, width, "models")
        return network(self.task, model, layers=self.options.layers, position=self.position)


def entries(options: Options, task: Task) -> Iterator[Entry]:
    """All runs of a comparison, those of a model together."""
    positions: tuple[Value, ...] = {
        "both": (None, "learned"), "none": (None,), "learned": ("learned",)
    }[options.positions]  # fmt: skip
    for name in options.names:
        for position in positions:
            for rate in options.learning_rates:
                for seed in range(options.seeds):
                    yield Entry(name, position, rate, seed, options, task)


def widest(of_width: Callable[[int], Model], budget: int) -> Model:
    """The widest model, in steps of `GRAIN`, that has at most `budget` parameters."""
    low, high = 0, WIDEST // GRAIN
    while low < high:
        middle = (low + high + 1) // 2
        fits = parameters(of_width(middle * GRAIN)) <= budget
        low, high = (middle, high) if fits else (low, middle - 1)
    if not low:
        least = parameters(of_width(GRAIN))
        raise ValueError(
            f"parameters is {budget}, expected at least {least}: width {GRAIN} has them"
        )
    return of_width(low * GRAIN)


def parameters(model: Model) -> int:
    """How many numbers a model learns."""
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))
