"""What a comparison ends with: one row a model, as a table, CSV and JSON."""

import csv
import io
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from memcore.train.objective.config import Config
from memcore.train.runs.files import beside, finite
from memcore.train.runs.progress import shown
from memcore.train.runs.report import Summary


class Entry(Protocol):
    """A run: the row that it belongs to, what it varies, and where it lives; `build` may raise."""

    @property
    def label(self) -> str: ...

    @property
    def learning_rate(self) -> float: ...

    @property
    def seed(self) -> int: ...

    @property
    def folder(self) -> Path: ...

    def build(self) -> Config:
        """The configuration of the run."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How a run ended: with a summary, or with a reason why there is none."""

    entry: Entry
    summary: Summary | None = None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """A model of a comparison, over its seeds, with its best learning rate."""

    model: str
    metric: str = ""
    mean: float | None = None
    """Mean of the test metric over the seeds."""
    spread: float | None = None
    """Its standard deviation; None for a single seed."""
    seeds: int = 0
    validation: float | None = None
    parameters: int | None = None
    state_size: int | None = None
    step_seconds: float | None = None
    seconds: float | None = None
    learning_rate: float | None = None
    reason: str = ""
    """Why a run of the model failed."""


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """One row for each model, in the order of the runs."""
    labels = dict.fromkeys(outcome.entry.label for outcome in outcomes)
    return [_row(label, [o for o in outcomes if o.entry.label == label]) for label in labels]


def _row(label: str, outcomes: list[Outcome]) -> Row:
    reason = next((outcome.reason for outcome in outcomes if outcome.reason), "")
    rates: dict[float, list[Summary]] = {}
    for outcome in outcomes:
        if outcome.summary is not None:
            rates.setdefault(outcome.entry.learning_rate, []).append(outcome.summary)
    found = {rate: s for rate, s in rates.items() if math.isfinite(_mean(s, "validation_loss"))}
    if not found:
        return Row(label, reason=reason or "the loss is not finite")
    rate, best = min(found.items(), key=_merit)
    tests = [summary.test_metric for summary in best]
    timed = [s.step_seconds for s in best if s.step_seconds is not None]
    return Row(
        label,
        metric=best[0].metric,
        mean=statistics.fmean(tests),
        spread=deviation(tests),
        seeds=len(tests),
        validation=_mean(best, "validation_metric"),
        parameters=best[0].parameters,
        state_size=best[0].state_size,
        step_seconds=statistics.fmean(timed) if timed else None,
        seconds=sum(summary.seconds for summary in best),
        learning_rate=rate,
        reason=reason,
    )


def _merit(item: tuple[float, list[Summary]]) -> tuple[int, float]:
    """Rates with all their seeds come first, then the lowest loss."""
    return -len(item[1]), _mean(item[1], "validation_loss")


def _mean(summaries: list[Summary], name: str) -> float:
    return statistics.fmean(getattr(summary, name) for summary in summaries)


HEADERS = (
    "model", "test", "validation", "seeds", "parameters", "state", "ms/step", "time", "rate", "failed",
)  # fmt: skip


def cells(row: Row) -> list[str]:
    """A row as text, as `HEADERS` says."""
    if row.mean is None:
        return [row.model, *[""] * (len(HEADERS) - 2), row.reason]
    return [
        row.model,
        with_spread(row.metric, row.mean, row.spread),
        shown(row.metric, row.validation or 0.0),
        str(row.seeds),
        f"{row.parameters:,}",
        f"{row.state_size:,}",
        "-" if row.step_seconds is None else f"{1e3 * row.step_seconds:.1f}",
        f"{row.seconds:.0f} s",
        f"{row.learning_rate:g}",
        row.reason,
    ]


def with_spread(metric: str, mean: float, spread: float | None) -> str:
    """A mean as text, with its standard deviation where there is one."""
    text = shown(metric, mean)
    return text if spread is None else f"{text} ± {shown(metric, spread)}"


def deviation(values: Sequence[float]) -> float | None:
    """The standard deviation of several values; None of a single one."""
    return statistics.stdev(values) if len(values) > 1 else None


def headers(found: list[Row]) -> list[str]:
    """`HEADERS`, in which the test has the name of the rows' metric."""
    metric = next((row.metric for row in found if row.metric), "")
    return [f"{header} {metric}".strip() if header == "test" else header for header in HEADERS]


def markdown(found: list[Row]) -> str:
    """The rows as a table of Markdown."""
    lines = [headers(found), ["---"] * len(HEADERS), *map(cells, found)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


RESULTS = ("results.json", "results.csv", "results.md")


def write(found: list[Row], folder: Path) -> None:
    """The files of `RESULTS`, each written beside and renamed."""
    values = [asdict(row) for row in found]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(Row.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(values)
    objects = json.dumps([finite(value) for value in values], indent=2)
    contents = (objects + "\n", text.getvalue(), markdown(found))
    for name, content in zip(RESULTS, contents, strict=True):
        with beside(folder / name) as draft:
            draft.write_text(content, encoding="utf-8")
