"""`memcore train --sweep option=value,value`: a run for each combination of values, and compare's table."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memcore.train.commands.compare.runs import compare
from memcore.train.commands.models import COMMA, split
from memcore.train.commands.parse import Plan, parse
from memcore.train.objective.config import Config
from memcore.train.runs.console import new_console
from memcore.train.runs.files import read_json, write_json
from memcore.train.runs.folder import difference, holds_other_things
from memcore.train.runs.lock import held

SWEEP = "sweep.json"


@dataclass(frozen=True)
class Varied:
    """One run of a sweep: its values are the name of its row; equal ones but for the seed share a row."""

    label: str
    config: Config
    sweep: Path

    @property
    def learning_rate(self) -> float:
        return self.config.optimizer.learning_rate

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        return self.sweep / "runs" / f"{self.label.replace('/', '_')}-{self.seed}"

    def build(self) -> Config:
        """The configuration of the run."""
        return self.config


def sweep(arguments: Sequence[str], plan: Plan) -> int:
    """Train all runs that the arguments ask for; the exit codes are those of `memcore compare`.

    Raises ValueError for values that make no sense, FileExistsError where the folder holds something else.
    """
    planned = runs(arguments, plan)
    enter(plan)
    steps = max(run.config.steps for run in planned)
    config = plan.config
    title = f"{config.task.title}, {config.steps} steps, {config.framework}"
    return compare(plan.folder, title, steps, planned, new_console())


def runs(arguments: Sequence[str], plan: Plan) -> list[Varied]:
    """A run for each combination of the values."""
    options = [_values(text) for text in plan.sweep]
    planned = []
    for combination in itertools.product(*(values for _, values in options)):
        pairs = list(zip((name for name, _ in options), combination, strict=True))
        config = parse([*arguments, *(f"--{name}={value}" for name, value in pairs)]).config
        label = ", ".join(f"{name}={value}" for name, value in pairs if name != "seed")
        planned.append(Varied(label or "all", config, plan.folder))
    return planned


def _values(text: str) -> tuple[str, list[str]]:
    """An option and its values from `option=value,value`."""
    name, equals, rest = text.partition("=")
    name = name.strip().removeprefix("--").removeprefix("optimizer.").replace("_", "-")
    values = split(rest) if name == "model" else [part.strip() for part in COMMA.split(rest)]
    if not equals or not name or not all(values) or len(set(values)) < len(values):
        raise ValueError(f"sweep is {text!r}, expected OPTION=VALUE,VALUE,... with each value once")
    return name, values


def enter(plan: Plan) -> None:
    """Make the folder that of this sweep; it may be so already."""
    path, here = plan.folder / SWEEP, {"sweep": list(plan.sweep), **plan.config.to_json()}
    if path.exists():
        there = read_json(path)
        if there != here:
            raise FileExistsError(
                f"{plan.folder} holds another sweep: {difference(there, here)}; choose another folder (--out)"
            )
    elif holds_other_things(plan.folder, SWEEP):
        raise FileExistsError(
            f"{plan.folder} exists and holds no sweep, expected a new or an empty folder; choose another one "
            "(--out)"
        )
    with held(plan.folder):
        write_json(path, here)
