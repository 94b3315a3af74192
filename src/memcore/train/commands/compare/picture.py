"""The picture of a comparison: the validation metric over the steps, a line for each model."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from memcore.train.commands.compare.results import Outcome, Row
from memcore.train.runs.files import beside
from memcore.train.runs.folder import RunFolder
from memcore.train.runs.metrics import Metrics


def draw(outcomes: list[Outcome], found: list[Row], title: str, path: Path) -> None:
    """Draw the picture into a PNG, if a run ended well."""
    if any(row.mean is not None for row in found):
        with beside(path) as draft:
            figure(outcomes, found, title).savefig(draft)


def figure(outcomes: list[Outcome], found: list[Row], title: str) -> Figure:
    """Mean over the seeds, and between the lowest and the highest a band, of each row that has a result.

    Models with positions have full lines, those without dashed ones of the same colour.
    """
    done = [row for row in found if row.mean is not None]
    drawn = Figure(figsize=(9, 5), dpi=120, layout="constrained")
    axes = drawn.subplots()
    colours = matplotlib.color_sequences["tab20"]
    models = list(dict.fromkeys(row.model.removesuffix(" + positions") for row in done))
    for row in done:
        colour = colours[models.index(row.model.removesuffix(" + positions")) % len(colours)]
        steps, values = _curves(outcomes, row)
        style = "-" if row.model.endswith(" + positions") else "--"
        axes.plot(steps, values.mean(0), style, color=colour, marker="o", ms=3, label=row.model)
        if len(values) > 1:
            axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.15)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(f"validation {done[0].metric}")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return drawn


def _curves(outcomes: list[Outcome], row: Row) -> tuple[list[int], np.ndarray]:
    """Steps (n,), and the validation metric of each seed, (seeds, n)."""
    curves = []
    for outcome in outcomes:
        entry = outcome.entry
        if entry.label != row.model or entry.learning_rate != row.learning_rate:
            continue
        if outcome.summary is None:
            continue
        lines = Metrics(RunFolder(entry.folder).metrics, row.metric).read()
        curves.append([line for line in lines if line["split"] == "validation"])
    shortest = min(map(len, curves))
    steps = [line["step"] for line in curves[0][:shortest]]
    return steps, np.array([[line[row.metric] for line in curve[:shortest]] for curve in curves])
