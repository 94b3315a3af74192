"""The baseline table of the documentation: every model on a few tasks, at one budget.

    python benchmarks/baselines.py [--steps 400] [--seeds 1] [--only TASK ...]

Every run is one of ``memcore compare``: finished runs are kept in ``runs/baselines``, and the same
command goes on after an interruption. The page docs/baselines.md gets the tables.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optax
from rich.console import Console

import memcore
from memcore import tasks
from memcore.train import evaluate, make_learner
from memcore.train.compare.command import compare
from memcore.train.compare.options import Entry, Options, entries
from memcore.train.compare.results import Outcome, Row, cells, headers, rows
from memcore.train.files import beside
from memcore.train.folder import RunFolder
from memcore.train.objective import Objective
from memcore.train.progress import shown
from memcore.train.report import Summary

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "baselines.md"
MARK = "<!-- results -->"
NEGATIVE = "gated_delta_net:negative_eigenvalues=true"


@dataclass(frozen=True)
class Baseline:
    """A task of the table: its options, and on what else its models are evaluated."""

    task: str
    about: str
    options: dict[str, Any] = field(default_factory=dict)
    positions: str = "none"
    longer: int = 0
    """Length of the longer words on which the trained models are evaluated as well; 0: none."""


BASELINES = (
    Baseline("digits", "8x8 scans read pixel by pixel.", positions="both"),
    Baseline("repeat_first", "Remember the first symbol of an episode; four episodes in a row."),
    Baseline(
        "parity",
        "Trained on words of 32 bits; the last column are words of 256 bits.",
        longer=256,
    ),
    Baseline("mqar", "Multi-query associative recall.", {"length": 32, "pairs": 4}),
    Baseline("localization", "Continuous localization over 20 steps: angle plus squared distance."),
)


def models() -> str:
    """All registered models, and the delta rule with eigenvalues in [-1, 1]."""
    return ",".join([*Options(models="all").names, NEGATIVE])


def longer_words(baseline: Baseline, task: Any, outcomes: list[Outcome]) -> dict[str, str]:
    """By the row's name, the metric on longer words, from the saved models."""
    if not baseline.longer:
        return {}
    other = replace(task, length=baseline.longer)
    found: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.summary is None or outcome.entry.seed:
            continue
        model, params = memcore.load(RunFolder(outcome.entry.folder).model)
        learner = make_learner("core", model, params, optax.identity(), Objective(task.loss))
        value = evaluate(learner, other, "test", 64)[task.metric]
        found[outcome.entry.label] = shown(task.metric, value)
    return found


def outcomes_of(planned: list[Entry]) -> list[Outcome]:
    """The finished runs of a comparison."""
    folders = [(entry, RunFolder(entry.folder).results) for entry in planned]
    return [Outcome(entry, Summary.read(path)) for entry, path in folders if path.exists()]


def section(baseline: Baseline, found: list[Row], longer: dict[str, str]) -> str:
    """A task's part of the page."""
    titles = [*headers(found)[:-1], *(["longer words"] if longer else [])]
    lines = [f"## `{baseline.task}`", "", baseline.about, ""]
    table = [titles, ["---"] * len(titles)]
    table += [[*cells(row)[:-1], *([longer.get(row.model, "")] if longer else [])] for row in found]
    return "\n".join([*lines, *("| " + " | ".join(line) + " |" for line in table), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--only", nargs="*", default=[b.task for b in BASELINES])
    given = parser.parse_args()
    console, sections = Console(width=160), []
    for baseline in BASELINES:
        if baseline.task not in given.only:
            continue
        task = tasks.make(baseline.task, **baseline.options)
        options = Options(
            task=baseline.task,
            models=models(),
            positions=baseline.positions,  # type: ignore[arg-type]
            width=given.width,
            steps=given.steps,
            seeds=given.seeds,
            out=ROOT / "runs" / "baselines" / baseline.task,
        )
        planned = list(entries(options, task))
        if compare(options, planned, console):
            return
        outcomes = outcomes_of(planned)
        sections.append(section(baseline, rows(outcomes), longer_words(baseline, task, outcomes)))
    budget = (
        f"Each model in a stack of 2 layers of width {given.width}, {given.steps} steps of 32 rows, seeds: "
        f"{given.seeds}, learning rate 0.01, on {os.cpu_count()} CPU cores; memcore {memcore.__version__}."
    )
    head = PAGE.read_text(encoding="utf-8").split(MARK)[0]
    with beside(PAGE) as draft:
        draft.write_text("\n".join([head + MARK, "", budget, "", *sections]), encoding="utf-8")


if __name__ == "__main__":
    main()
