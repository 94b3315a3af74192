"""The baseline table of the documentation: every model on a few tasks, at one budget.

    python benchmarks/baselines.py [--steps 400] [--seeds 3] [--only TASK ...]

Every comparison is one of ``memcore compare``: it lives in a folder of ``runs/baselines``, finished runs are
kept there, and the same command goes on after an interruption. The page docs/baselines.md then shows every
task that has a comparison with these settings, also those that were not asked for this time; a task whose
runs do not lie there keeps the section that the page has, if that is of the same budget.

Exit codes: 0 where the page was written, 2 for arguments, data or folders that are not as they should be,
otherwise that of the comparison that did not end well; the page is then as it was.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import optax
from rich.console import Console

import memcore
from memcore import tasks
from memcore.tasks import Task
from memcore.train import evaluate, make_learner
from memcore.train.commands.compare.command import check, compare, enter
from memcore.train.commands.compare.options import Entry, Options, entries
from memcore.train.commands.compare.results import Row, cells, deviation, headers, with_spread
from memcore.train.objective.objective import Objective
from memcore.train.runs.files import beside, read_json
from memcore.train.runs.folder import RunFolder

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "baselines.md"
RUNS = ROOT / "runs" / "baselines"
MARK = "<!-- results -->"
NEGATIVE = "gated_delta_net:negative_eigenvalues=true"
FIVE = ("lru", "gru", "linear_attention", "gated_delta_net", "attention")
"""Their time on `digits`, without and with positions, stands below that table."""


@dataclass(frozen=True)
class Baseline:
    """A task of the page: its options, and on what else its models are evaluated."""

    task: str
    about: str
    """What it asks for; `{task}` is the task."""
    options: dict[str, Any] = field(default_factory=dict)
    positions: Literal["both", "none"] = "none"
    longer: tuple[int, ...] = ()
    """Lengths of the longer words on which the trained models are evaluated as well."""


BASELINES = (
    Baseline(
        "digits",
        "Name the digit of a scan, read pixel by pixel: {task.length} steps.",
        positions="both",
    ),
    Baseline(
        "repeat_first",
        "Remember the first symbol of an episode: {task.episodes} episodes in a row of {task.length} steps, "
        "{task.symbols} symbols.",
    ),
    Baseline(
        "parity",
        "Whether the number of ones so far is odd. Trained on words of {task.length} bits, tested on such "
        "words and on longer ones.",
        longer=(64, 128, 256),
    ),
    Baseline(
        "mqar",
        "Multi-query associative recall: {task.pairs} pairs of key and value in {task.length} steps, "
        "{task.vocabulary} tokens.",
        {"length": 32, "pairs": 4},
    ),
    Baseline(
        "localization",
        "Continuous localization over {task.length} steps. The metric `pose` is an error: lower is better.",
        {"length": 20},
    ),
)


@dataclass(frozen=True)
class Comparison:
    """A baseline at a budget: the options of its `memcore compare`."""

    baseline: Baseline
    task: Task
    options: Options

    def plan(self) -> list[Entry]:
        """The runs, in a folder that is entered; raises as the command does where it cannot be."""
        planned = list(entries(self.options, self.task))
        check(self.options, self.task)
        return enter(self.options, self.task, planned)

    def rows(self) -> list[Row]:
        """The rows that are there with these settings, those of failed models too; none is an empty list."""
        path = self.options.folder / "comparison.json"
        results = self.options.folder / "results.json"
        if not path.exists() or not results.exists():
            return []
        here = json.loads(json.dumps(self.options.settings(self.task)))
        if read_json(path)["settings"] != here:
            return []
        return [Row(**row) for row in read_json(results)]

    def runs(self, row: Row) -> list[RunFolder]:
        """The finished runs of which a row has the mean."""
        keys = read_json(self.options.folder / "comparison.json")["runs"]
        found = [
            Entry(model, position, rate, seed, self.options, self.task)
            for model, position, rate, seed in keys
        ]
        mine = [e for e in found if (e.label, e.learning_rate) == (row.model, row.learning_rate)]
        folders = [RunFolder(entry.folder) for entry in mine]
        return [folder for folder in folders if folder.results.exists()]


def comparison(baseline: Baseline, given: argparse.Namespace) -> Comparison:
    """A baseline with the budget of the command line."""
    options = Options(
        task=baseline.task,
        models=given.models,
        positions=baseline.positions,
        width=given.width,
        steps=given.steps,
        seeds=given.seeds,
        out=RUNS / baseline.task,
    )
    return Comparison(baseline, tasks.make(baseline.task, **baseline.options), options)


def longer_words(chosen: Comparison, row: Row, length: int) -> str:
    """The metric on words of a length, from the saved models: the mean over the seeds, and its spread."""
    task: Any = chosen.task
    other = replace(task, length=length)
    values = []
    for folder in chosen.runs(row):
        model, params = memcore.load(folder.model)
        learner = make_learner("core", model, params, optax.identity(), Objective(task.loss))
        values.append(evaluate(learner, other, "test", chosen.options.batch_size)[task.metric])
    if not values:
        return ""
    return with_spread(task.metric, statistics.fmean(values), deviation(values))


def section(chosen: Comparison, found: list[Row]) -> str:
    """A task's part of the page."""
    baseline = chosen.baseline
    table = [headers(found), *(cells(row) for row in found)]
    for length in reversed(baseline.longer):
        column = [f"length {length}", *(longer_words(chosen, row, length) for row in found)]
        table = [[*line[:2], cell, *line[2:]] for line, cell in zip(table, column, strict=True)]
    table.insert(1, ["---"] * len(table[0]))
    about = baseline.about.format(task=chosen.task)
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in table]
    return "\n".join([f"### `{baseline.task}`", "", about, "", *lines, "", times(found), ""])


def times(found: list[Row]) -> str:
    """What the comparison took, and where both are there, the five models without and with positions."""
    took = f"Training took {duration(found)} in all, compilation and validation included."
    five = [row for row in found if row.model.removesuffix(" + positions") in FIVE]
    if len([row for row in five if row.seconds is not None]) == 2 * len(FIVE):
        took += f" {', '.join(FIVE)}, without and with positions, took {duration(five)} of it."
    return took


def duration(found: list[Row]) -> str:
    """The times of rows together."""
    seconds = sum(row.seconds or 0.0 for row in found)
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


def budget(options: Options) -> str:
    """What all the tables share, in words."""
    rates = ", ".join(f"{rate:g}" for rate in options.learning_rates)
    return (
        f"Each model stands in a stack of {options.layers} layers of width {options.width} and is trained "
        f"for {options.steps} steps of {options.batch_size} rows, learning rate {rates}; memcore "
        f"{memcore.__version__}. `state` is how many numbers a sequence carries from step to step, `time` the"
        " sum over the seeds, and a test of several seeds their mean ± standard deviation."
    )


def page(comparisons: Sequence[Comparison]) -> str:
    """The page: its head as it is, and the sections of all comparisons that are there, or that it shows."""
    head, _, shown = PAGE.read_text(encoding="utf-8").partition(MARK)
    said = budget(comparisons[0].options)
    sections = []
    for chosen in comparisons:
        found = chosen.rows()
        before = earlier(shown, chosen.baseline.task) if said in shown else []
        sections += [section(chosen, found)] if found else before
    return "\n".join([head + MARK, "", "## Results", "", said, "", *sections])


def earlier(shown: str, task: str) -> list[str]:
    """A task's section as the page has it: its runs may lie elsewhere."""
    _, found, after = shown.partition(f"### `{task}`\n")
    return [found + after.partition("\n### ")[0].rstrip("\n") + "\n"] if found else []


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    names = [baseline.task for baseline in BASELINES]
    every = ",".join([*Options(models="all").names, NEGATIVE])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument(
        "--models", default=every, help="all, and the delta rule with eigenvalues in [-1, 1]"
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="run these tasks")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    given = parse(arguments)
    try:
        comparisons = [comparison(baseline, given) for baseline in BASELINES]
        chosen = [one for one in comparisons if one.baseline.task in given.only]
        planned = [one.plan() for one in chosen]
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"baselines: {error}", file=sys.stderr)
        return 2
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    for one, runs in zip(chosen, planned, strict=True):
        code = compare(one.options, runs, console)
        if code:
            print(
                f"baselines: {one.baseline.task} did not end well, {PAGE} is as it was",
                file=sys.stderr,
            )
            return code
    with beside(PAGE) as draft:
        draft.write_text(page(comparisons), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
