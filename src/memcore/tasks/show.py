"""A picture of a few examples of a task. Needs matplotlib."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.packing import joined
from memcore.tasks.base.task import Example, Split, Task

MOST_LINES = 6
"""Inputs of more features than this are drawn as an image."""


def figure(task: Task, split: Split, *, first: int = 0, count: int = 4, steps: int = 256) -> Figure:
    """`count` examples of a split from number `first` on, the first `steps` steps of each.

    Above the inputs, below the targets where they count, on a ground as dark as their weight; a
    dotted line is a start. No more than those steps are made. Raises IndexError where the split
    has no such examples, ValueError for a `count` or `steps` below 1.
    """
    for name, value in (("count", count), ("steps", steps)):
        at_least(name, value, 1)
    examples = [beginning(task, split, index, steps) for index in range(first, first + count)]
    drawn = Figure(figsize=(10, 2.6 * count), dpi=100, layout="constrained")
    drawn.suptitle(f"{task.title}: {split} {first} to {first + count - 1}", fontsize=10)
    panels = drawn.subplots(2 * count, 1, squeeze=False, height_ratios=[3, 2] * count)[:, 0]
    for example, above, below in zip(examples, panels[::2], panels[1::2], strict=True):
        _inputs(above, example, task)
        _targets(below, example)
        for axes in (above, below):
            _times(axes, example["starts"])
        above.tick_params(labelbottom=False)
    panels[-1].set_xlabel("step")
    return drawn


def beginning(task: Task, split: Split, index: int, steps: int) -> Example:
    """The first `steps` steps of an example, or all of a shorter one."""
    segments, length = [], 0
    for segment in task.segments(split, index, steps):
        segments.append(segment)
        length += len(segment["starts"])
        if length >= steps:
            break
    return {key: value[:steps] for key, value in joined(segments).items()}


def _inputs(axes: Axes, example: Example, task: Task) -> None:
    xs = example["xs"]
    if task.tokens:
        axes.plot(xs, ".", color="tab:blue", markersize=5)
        axes.set_ylim(-0.7, task.in_features - 0.3)
        axes.set_ylabel("token")
    elif task.in_features <= MOST_LINES:
        axes.plot(xs, ".-", linewidth=0.8, markersize=3)
        axes.set_ylabel("input")
    else:
        axes.imshow(xs.T, aspect="auto", interpolation="nearest", cmap="Blues", origin="lower")
        axes.set_ylabel("feature")


def _targets(axes: Axes, example: Example) -> None:
    weights, targets = example["weights"], example["targets"]
    dark = weights / weights.max() if weights.any() else weights
    axes.imshow(
        dark[None, :],
        extent=(-0.5, len(dark) - 0.5, 0, 1),
        transform=_full_height(axes),
        aspect="auto",
        interpolation="nearest",
        cmap="Greys",
        vmin=0,
        vmax=5,
    )
    asked = np.flatnonzero(weights)
    axes.plot(asked, targets[asked], ".", markersize=5)
    axes.use_sticky_edges = False
    axes.autoscale(axis="y")
    axes.margins(y=0.15)
    axes.set_ylabel("target")


def _full_height(axes: Axes) -> Any:
    """Steps along, parts of the panel's height up."""
    return axes.get_xaxis_transform()


def _times(axes: Axes, starts: np.ndarray) -> None:
    for step in np.flatnonzero(starts).tolist():
        axes.axvline(step, color="black", linestyle=":", linewidth=1)
    axes.set_xlim(-0.5, len(starts) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
