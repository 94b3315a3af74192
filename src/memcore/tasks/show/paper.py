"""Places on a picture, and what all drawings share."""

import functools

import numpy as np
from matplotlib import font_manager, ft2font
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from memcore.tasks.show.window import Window

ASKED = "tab:orange"
"""The colour of what is asked."""


def panel(
    drawn: Figure, band: tuple[float, float], across: tuple[float, float], up: tuple[float, float]
) -> Axes:
    """Axes in a band (bottom, top) of the picture; `across` in inches, `up` in inches above its bottom."""
    width, height = drawn.get_size_inches()
    left, right = across
    low, high = up
    bottom = band[0] + low / height
    return drawn.add_axes((left / width, bottom, (right - left) / width, (high - low) / height))


def times(axes: Axes, seen: Window) -> None:
    """Steps along, whole numbers; a start is a black bar."""
    for step in seen.steps[seen.example["starts"]].tolist():
        axes.axvline(step - 0.5, color="black", linewidth=1.5)
    axes.set_xlim(seen.steps[0] - 0.5, seen.steps[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)


def ground(axes: Axes, seen: Window) -> None:
    """An orange ground where something is asked, as dark as the step's weight."""
    weights, steps = seen.example["weights"], seen.steps
    most = max(float(weights.max()), 1e-9)
    edge = 1.0 if len(steps) > 256 else 0.0  # a single step of many would not be seen
    for place in seen.asked.tolist():
        dark = 0.1 + 0.25 * float(weights[place]) / most
        step = int(steps[place])
        span = axes.axvspan(
            step - 0.5, step + 0.5, color=ASKED, alpha=dark, linewidth=edge, zorder=0
        )
        span.set_antialiased(False)


def name(names: tuple[str, ...], number: int) -> str:
    """What a token or class is called, in letters that the font has."""
    return "".join(map(_drawable, names[number] if number < len(names) else str(number)))


@functools.cache
def _drawable(character: str) -> str:
    return character if _font().get_char_index(ord(character)) else f"{ord(character):x}"


@functools.cache
def _font() -> ft2font.FT2Font:
    return font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))


def numbers_of(names: tuple[str, ...], count: int) -> list[str]:
    """A name for each of `count` features, their numbers where they have none."""
    return [name(names, i) for i in range(count)] if names else list(map(str, np.arange(count)))
