"""Tokens, and one-hot vectors, as symbols in lines, what is asked below them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from memcore.tasks.base.task import Task
from memcore.tasks.show import paper
from memcore.tasks.show.window import Window

LEFT, RIGHT = 0.75, 9.8
"""Where the lines begin and end, in inches."""
MOST = 64
"""Symbols in a line."""
ROW, REST = 0.2, 0.22
"""Height of a row of symbols, and of what stands between two lines, in inches."""


def one_hot(xs: np.ndarray) -> bool:
    """Whether these inputs (T, features) are one-hot vectors."""
    ones = xs.ndim == 2 and xs.shape[1] > 1 and np.isin(xs, (0, 1)).all()
    return bool(ones and (xs.sum(axis=1) == 1).all())


def height(seen: Window, task: Task) -> float:
    """Inches that an example needs."""
    lines = -(-len(seen.steps) // _columns(seen, task))
    return lines * (ROW * (1 + len(_answers(seen, task))) + REST) + 0.1


def draw(drawn: Figure, band: tuple[float, float], seen: Window, task: Task) -> None:
    """Draw an example into a band of the picture."""
    columns, tall = _columns(seen, task), (band[1] - band[0]) * drawn.get_figheight()
    words = {"input": _inputs(seen, task), **_answers(seen, task)}
    each = ROW * len(words)
    for number, begin in enumerate(range(0, len(seen.steps), columns)):
        top = tall - number * (each + REST) - REST
        axes = paper.panel(drawn, band, (LEFT, RIGHT), (top - each, top))
        chosen = slice(begin, begin + columns)
        _line(axes, {key: row[chosen] for key, row in words.items()}, columns)
        _marks(axes, seen, chosen, len(words))


def _line(axes: Axes, words: dict[str, list[str]], columns: int) -> None:
    """Rows of words one below the other, the inputs first."""
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(len(words) - 0.5, -0.5)
    for place, row in enumerate(words.values()):
        weight = "bold" if place and max(map(len, row)) < 4 else "normal"
        for column, word in enumerate(row):
            axes.text(
                column,
                place,
                word,
                fontsize=8 if len(word) < 3 else 7,
                fontweight=weight,
                ha="center",
                va="center_baseline",
                parse_math=False,
            )
    axes.set_yticks(range(len(words)), list(words), fontsize=7)
    axes.tick_params(length=0, pad=2)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)


def _marks(axes: Axes, seen: Window, chosen: slice, rows: int) -> None:
    """A grey ground under the inputs, an orange one under what is asked, bars at starts, steps above."""
    weights, starts = seen.example["weights"], seen.example["starts"][chosen]
    most = max(float(weights.max()), 1e-9)
    for column, weight in enumerate(weights[chosen].tolist()):
        axes.add_patch(Rectangle((column - 0.5, -0.5), 1, 1, color="0.93", zorder=0))
        if weight:
            shade = 0.15 + 0.25 * weight / most
            place = (column - 0.5, 0.5)
            axes.add_patch(Rectangle(place, 1, rows - 1, color=paper.ASKED, alpha=shade, zorder=0))
    for column in np.flatnonzero(starts).tolist():
        axes.axvline(column - 0.5, color="black", linewidth=2)
    steps = seen.steps[chosen]
    every = 4 if axes.get_xlim()[1] > 16 else 1
    shown = [column for column, step in enumerate(steps.tolist()) if step % every == 0]
    axes.xaxis.tick_top()
    axes.set_xticks(shown, [str(steps[column]) for column in shown], fontsize=6, color="0.4")


def _columns(seen: Window, task: Task) -> int:
    """How many symbols a line has: as many as have room."""
    rows = (_inputs(seen, task), *_answers(seen, task).values())
    longest = max(len(word) for row in rows for word in row)
    room = min(MOST, max(2, int((RIGHT - LEFT) / max(0.14, 0.03 + 0.0625 * longest))))
    count = max(len(seen.steps), min(room, 16))
    # Lines of equal length, so that the last one is not a rest of two.
    lines = -(-count // room)
    return -(-count // lines)


def _inputs(seen: Window, task: Task) -> list[str]:
    xs = seen.example["xs"]
    tokens = xs if xs.ndim == 1 else xs.argmax(axis=1)
    names = getattr(task, "input_names", ())
    return [paper.name(names, token) for token in tokens.tolist()]


def _answers(seen: Window, task: Task) -> dict[str, list[str]]:
    """Rows of what is asked, by their names: one of classes, or one for each number."""
    names, targets = getattr(task, "output_names", ()), seen.example["targets"]
    asked = seen.example["weights"] > 0
    if targets.ndim == 1:
        pairs = zip(targets.tolist(), asked, strict=True)
        return {"asked": [paper.name(names, target) if on else "" for target, on in pairs]}
    rows = zip(paper.numbers_of(names, targets.shape[1]), targets.T, strict=True)
    return {
        key: [_sign(value) if on else "" for value, on in zip(row.tolist(), asked, strict=True)]
        for key, row in rows
    }


def _sign(value: float) -> str:
    return {1.0: "+", -1.0: "−"}.get(value, f"{value:.2g}")
