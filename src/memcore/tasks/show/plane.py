"""Poses: the motions as lines, and beside them the path, seen from above."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memcore.tasks.base.task import Task
from memcore.tasks.show import lines, paper
from memcore.tasks.show.window import Window


def height(seen: Window, task: Task) -> float:
    """Inches that an example needs."""
    return 3.2


def draw(drawn: Figure, band: tuple[float, float], seen: Window, task: Task) -> None:
    """Draw an example into a band of the picture."""
    xs, names = seen.example["xs"], getattr(task, "input_names", ())
    everywhere = np.ones(len(seen.steps), bool)
    for half, (low, high) in enumerate(((1.75, 3.05), (0.4, 1.65))):
        axes = paper.panel(drawn, band, (0.75, 4.6), (low, high))
        part = slice(3 * half, 3 * half + 3)
        lines.numbers(axes, seen, xs[:, part], names[part], everywhere)
        axes.set_ylabel("radians" if half == 0 else "metres", fontsize=8)
        axes.tick_params(labelbottom=half == 1)
    axes.set_xlabel("step", fontsize=8, labelpad=1)
    _path(paper.panel(drawn, band, (6.1, 9.0), (0.4, 3.05)), seen, getattr(task, "reach", 1.0))


def _path(axes: Axes, seen: Window, reach: float) -> None:
    """The positions in the plane of x and y, their height z as colour, an arrow where x points."""
    targets, starts = seen.example["targets"], seen.example["starts"]
    position, ahead = targets[:, 6:] * reach, targets[:, :2]
    # Where an episode begins, the path begins at the origin.
    episode = np.cumsum(starts)
    for number in np.unique(episode).tolist():
        path = position[episode == number, :2]
        whole = np.concatenate([np.zeros((1, 2)), path]) if number else path
        axes.plot(whole[:, 0], whole[:, 1], "-", color="0.6", linewidth=0.8, zorder=1)
    axes.plot(0, 0, "ks", markersize=5, zorder=3)
    size = float(np.abs(position[:, :2]).max(initial=1.0))
    arrows = axes.quiver(
        *position[:, :2].T, *ahead.T, position[:, 2], cmap="coolwarm", units="width", width=0.008,
        scale=14, zorder=2,
    )  # fmt: skip
    axes.set_xlim(-1.15 * size, 1.15 * size)
    axes.set_ylim(-1.15 * size, 1.15 * size)
    axes.set_aspect("equal")
    axes.set_xlabel("x, metres; the arrow is the first axis of the pose", fontsize=8, labelpad=1)
    axes.set_ylabel("y, metres", fontsize=8)
    axes.tick_params(labelsize=8)
    bar = axes.figure.colorbar(arrows, cax=axes.inset_axes((1.03, 0, 0.04, 1)))
    bar.set_label("z, metres", fontsize=8)
    bar.ax.tick_params(labelsize=7)
