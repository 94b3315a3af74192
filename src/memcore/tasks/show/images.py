"""Images that are read pixel by pixel: the images, the path of the pixels, and what comes of them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memcore.tasks.show import paper
from memcore.tasks.show.window import Window
from memcore.types import Value

MOST = 8
"""Images in a line."""
SMALL, LARGE, GAP = 1.08, 1.5, 0.1
"""Of an image, in a row of many and in one of few, and between two, in inches."""
AROUND = 0.55
"""What is written above and below an image, in inches."""


def fits(task: Value) -> bool:
    """Whether the task's rows are images of `task.side` times `task.side` pixels."""
    return not task.tokens and task.in_features == 1 and bool(getattr(task, "side", 0))


def whole(task: Value) -> int:
    """Steps of as many images as have room in a line."""
    return MOST * task.side**2


def height(seen: Window, task: Value) -> float:
    """Inches that an example needs."""
    return (_size(seen, task) + AROUND) * -(-len(_numbers(seen, task)) // MOST)


def draw(drawn: Figure, band: tuple[float, float], seen: Window, task: Value) -> None:
    """Draw an example into a band of the picture."""
    numbers, size = _numbers(seen, task), _size(seen, task)
    tall = (band[1] - band[0]) * drawn.get_figheight()
    for place, number in enumerate(numbers):
        line, column = divmod(place, MOST)
        left = 0.25 + column * (size + GAP)
        bottom = tall - (size + AROUND) * (line + 1) + 0.3
        axes = paper.panel(drawn, band, (left, left + size), (bottom, bottom + size))
        _image(axes, seen, task, number)
    if _wave(seen, task):
        left = 0.85 + len(numbers) * (size + GAP)
        axes = paper.panel(drawn, band, (left, 9.75), (0.5, 0.3 + size))
        axes.plot(seen.steps, seen.example["xs"][:, 0], ".-", linewidth=0.8, markersize=3)
        paper.ground(axes, seen)
        paper.times(axes, seen)
        axes.set_ylabel("pixel", fontsize=8)
        axes.set_xlabel("step", fontsize=8, labelpad=1)


def _wave(seen: Window, task: Value) -> bool:
    """Whether there is room for the pixels as they are read, beside the images."""
    return len(_numbers(seen, task)) <= 3


def _size(seen: Window, task: Value) -> float:
    """Inches of an image."""
    return LARGE if _wave(seen, task) else SMALL


def _numbers(seen: Window, task: Value) -> list[int]:
    """The numbers of the row's images that are seen, if only in part."""
    pixels = task.side**2
    return list(range(seen.first // pixels, seen.steps[-1] // pixels + 1))


def _image(axes: Axes, seen: Window, task: Value, number: int) -> None:
    """Image `number` of the row; pixels outside the window are left out."""
    pixels, side = task.side**2, task.side
    order = getattr(task, "order", np.arange(pixels))
    inside = seen.steps // pixels == number
    read = order[seen.steps[inside] % pixels]
    values = np.full(pixels, np.nan)
    values[read] = seen.example["xs"][inside, 0]
    axes.imshow(values.reshape(side, side), cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    # A path that jumps would hide the image: its beginning says enough.
    jumps = np.abs(np.diff(order)).max(initial=1) > 1
    _path(axes, read[:side] if jumps else read, side)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("lightsteelblue")
    starts = seen.example["starts"][inside]
    axes.spines["left"].set_linewidth(4 if starts.any() else 0.8)
    _says(axes, seen, inside)


def _path(axes: Axes, read: np.ndarray, side: int) -> None:
    """The order of the pixels as a line, from a green dot to a red one."""
    rows, columns = np.divmod(read, side)
    thin = 0.7 if side <= 8 else 0.4
    axes.plot(columns, rows, "-", color="tab:blue", linewidth=thin, alpha=0.5)
    axes.plot(columns[:1], rows[:1], "o", color="tab:green", markersize=4)
    axes.plot(columns[-1:], rows[-1:], "o", color="tab:red", markersize=4)


def _says(axes: Axes, seen: Window, inside: np.ndarray) -> None:
    """Above: which steps these are; below: what is asked at the last of them."""
    steps = seen.steps[inside]
    axes.set_title(f"steps {steps[0]} to {steps[-1]}", fontsize=7, pad=2)
    asked = np.flatnonzero(inside & (seen.example["weights"] > 0))
    if len(asked):
        answer = ", ".join(str(target) for target in seen.example["targets"][asked].tolist())
        shade = {"facecolor": "moccasin", "edgecolor": "none", "pad": 1.5}
        axes.set_xlabel(f"asked: {answer}", fontsize=9, labelpad=4, bbox=shade)
