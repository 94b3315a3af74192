"""Numbers as lines over the steps, many of them as an image; what is asked below."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from memcore.tasks.base.task import Task
from memcore.tasks.show import paper
from memcore.tasks.show.window import Window

MOST = 6
"""More numbers than this are drawn as an image."""
NAMED = 12
"""Classes with names, up to which every one has a tick."""


def height(seen: Window, task: Task) -> float:
    """Inches that an example needs."""
    return 2.6


def draw(drawn: Figure, band: tuple[float, float], seen: Window, task: Task) -> None:
    """Draw an example into a band of the picture."""
    above = paper.panel(drawn, band, (0.75, 8.8), (1.3, 2.5))
    below = paper.panel(drawn, band, (0.75, 8.8), (0.4, 1.2))
    everywhere = np.ones(len(seen.steps), bool)
    numbers(above, seen, seen.example["xs"], getattr(task, "input_names", ()), everywhere)
    above.set_ylabel("input", fontsize=8)
    above.tick_params(labelbottom=False)
    _targets(below, seen, task)
    below.set_ylabel("asked", fontsize=8)
    below.set_xlabel("step", fontsize=8, labelpad=1)


def numbers(
    axes: Axes, seen: Window, values: np.ndarray, names: tuple[str, ...], shown: np.ndarray
) -> None:
    """Values (T, n) at the steps `shown`, with a legend where they have names or are several."""
    labels = paper.numbers_of(names, values.shape[1])
    if len(labels) > MOST:
        kept = np.where(shown[:, None], values, np.nan).T
        extent = (seen.steps[0] - 0.5, seen.steps[-1] + 0.5, len(labels) - 0.5, -0.5)
        image = axes.imshow(
            kept, aspect="auto", interpolation="nearest", cmap="viridis", extent=extent
        )
        inside = axes.inset_axes((1.01, 0, 0.015, 1))
        axes.figure.colorbar(image, cax=inside).ax.tick_params(labelsize=7)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    else:
        kept = np.where(shown[:, None], values, np.nan)
        drawn = axes.plot(seen.steps, kept, ".-", linewidth=0.8, markersize=3)
        if names or len(labels) > 1:
            axes.legend(
                drawn, labels, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False
            )
    paper.times(axes, seen)


def _targets(axes: Axes, seen: Window, task: Task) -> None:
    names, targets = getattr(task, "output_names", ()), seen.example["targets"]
    asked = seen.example["weights"] > 0
    if targets.ndim == 2:
        numbers(axes, seen, targets, names, asked)
    else:
        axes.plot(seen.steps[asked], targets[asked], ".", color="tab:red", markersize=5)
        axes.set_ylim(-0.5, task.out_features - 0.5)
        if names and len(names) <= NAMED:
            axes.set_yticks(range(len(names)), paper.numbers_of(names, len(names)))
        else:
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    if not axes.images:  # an image has gaps where nothing is asked
        paper.ground(axes, seen)
    paper.times(axes, seen)
