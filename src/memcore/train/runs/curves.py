"""The picture of a run: loss and metric over the steps."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from memcore.train.runs.files import beside

SMOOTHING = 0.9


def draw(lines: list[dict[str, Any]], metric: str, title: str, path: Path) -> None:
    """Draw the metrics of a run (see `Metrics.read`) into a PNG."""
    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    figure.suptitle(title, fontsize=10)
    left, right = figure.subplots(1, 2)
    for axes, key in ((left, "loss"), (right, metric)):
        _panel(axes, lines, key)
    left.set_ylabel("loss")
    left.set_yscale("log")
    right.set_ylabel(metric)
    right.legend(frameon=False)
    with beside(path) as draft:
        figure.savefig(draft)


def _panel(axes: Axes, lines: list[dict[str, Any]], key: str) -> None:
    steps, values = _curve(lines, "train", key)
    axes.plot(steps, values, color="tab:blue", alpha=0.25, linewidth=0.8)
    axes.plot(steps, _smooth(values), color="tab:blue", label="train")
    axes.plot(*_curve(lines, "validation", key), "o-", color="tab:orange", ms=3, label="validation")
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _curve(lines: list[dict[str, Any]], split: str, key: str) -> tuple[list[int], list[float]]:
    chosen = [line for line in lines if line["split"] == split]
    return [line["step"] for line in chosen], [line[key] for line in chosen]


def _smooth(values: list[float]) -> list[float]:
    """Running mean with exponential weights, unbiased from the first value on."""
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total = SMOOTHING * total + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        smooth.append(total / weight)
    return smooth
