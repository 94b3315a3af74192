"""A few examples of a task, one below the other, each drawn as what it is."""

from types import ModuleType

from matplotlib.figure import Figure

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.packing import Packed
from memcore.tasks.base.registry import to_config
from memcore.tasks.base.task import Split, Task
from memcore.tasks.show import images, lines, plane, symbols
from memcore.tasks.show.window import Window, window

WIDTH = 10.0
"""Of a picture, in inches of 100 pixels."""
TITLE = 0.55
"""Height of the title, in inches."""


def figure(
    task: Task, split: Split, *, first: int = 0, count: int = 4, steps: int | None = None
) -> Figure:
    """`count` examples of a split from number `first` on, at most `steps` steps of each.

    Images are drawn as images, with the path of the pixels; tokens and one-hot vectors as symbols, in
    lines; poses as a path in the plane; other numbers as lines, or as an image where there are many. What
    is asked stands below on an orange ground, a start is a black bar. Of a row in which nothing is asked
    so early the last steps are shown. Without `steps` there are 256, of images as many as make 8.

    Raises IndexError where the split has no such examples, ValueError for a `count` or `steps` below 1.
    """
    at_least("count", count, 1)
    if steps is not None:
        at_least("steps", steps, 1)
    plain = task.task if isinstance(task, Packed) else task
    most = steps or (images.whole(plain) if images.fits(plain) else 256)
    windows = [window(task, split, index, most) for index in range(first, first + count)]
    painter = _painter(plain, windows[0])
    heights = [painter.height(seen, plain) for seen in windows]
    drawn = Figure(figsize=(WIDTH, TITLE + sum(heights)), dpi=100)
    top = 1.0
    for part, height in zip((None, *windows), (TITLE, *heights), strict=True):
        bottom = top - height / drawn.get_figheight()
        if part is None:
            _title(drawn, task, f"{split} {first} to {first + count - 1}")
        else:
            painter.draw(drawn, (bottom, top), part, plain)
        top = bottom
    return drawn


def _painter(task: Task, seen: Window) -> ModuleType:
    """The module that draws such examples: it has `fits`, `height` and `draw`."""
    if images.fits(task):
        return images
    if task.loss == "pose":
        return plane
    return symbols if task.tokens or symbols.one_hot(seen.example["xs"]) else lines


def _title(drawn: Figure, task: Task, which: str) -> None:
    asks = getattr(task.task if isinstance(task, Packed) else task, "asks", "")
    drawn.suptitle(
        f"{task.title}, {which}" + (f": {asks}" if asks else ""),
        fontsize=11,
        parse_math=False,
        y=1 - 0.12 / drawn.get_figheight(),
        va="top",
    )
    options = {key: value for key, value in to_config(task).items() if key != "name"}
    words = [f"{key}={_short(value)}" for key, value in options.items() if value not in (None, "")]
    text = ", ".join(words)
    shown = text if len(text) < 130 else text[:129] + "…"
    where = 1 - 0.36 / drawn.get_figheight()
    drawn.text(0.5, where, shown, fontsize=7, color="0.4", ha="center", va="top", parse_math=False)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
