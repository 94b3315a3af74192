"""The pictures: growth with length, width and batch, and how many times faster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from report import SECTIONS, devices

COLOURS = {
    "sequential": "#4477aa",
    "associative": "#cc6677",
    "chunked": "#ddaa33",
    "fused": "#228833",
    "streamed": "#222222",
}


@dataclass(frozen=True)
class Growth:
    """A picture of a quantity against a size, of every rule by every method."""

    sweep: str
    size: str
    label: str
    quantity: str = "seconds"
    unit: float = 1e-3
    what: str = "ms, forward and gradient"


GROWTH = {
    "time_against_length": Growth("length", "length", "T, steps"),
    "time_against_width": Growth("width", "size", "K = V of a head, with 4 times as many channels"),
    "time_against_batch": Growth("batch", "batch", "B, sequences"),
    "memory_against_length": Growth(
        "length",
        "length",
        "T, steps",
        "temporaries",
        1e6,
        "MB of temporaries, forward and gradient",
    ),
}


def draw(data: dict[str, Any], folder: Path, name: str) -> list[str]:
    """Write what there are rows for; the names of the files."""
    import matplotlib

    matplotlib.use("agg")
    written = []
    figures = {title: partial(growth, how=how) for title, how in GROWTH.items()}
    for title, figure in {**figures, "ratios": ratios}.items():
        drawn = figure(data)
        if drawn is not None:
            file = f"{name}-{title}.png"
            drawn.savefig(folder / f"{file}.part", dpi=120, format="png")
            os.replace(folder / f"{file}.part", folder / file)
            written.append(file)
    return written


def lines(data: dict[str, Any], how: Growth) -> dict[str, dict[str, dict[int, float]]]:
    """The quantity by rule, method and size, of the rules that were measured at several sizes."""
    found: dict[str, dict[str, dict[int, float]]] = {}

    def put(rule: str, method: str, size: int, value: float) -> None:
        line = found.setdefault(rule, {}).setdefault(method, {})
        line[size] = min(value, line.get(size, float("inf")))

    for row in data["groups"].get("rules", {"rows": []})["rows"]:
        if row.get(how.quantity) is not None and row["sweep"] in ("base", how.sweep):
            put(row["rule"], row["method"], row["sizes"][how.size], row[how.quantity])
    if how.sweep == "length":
        for row in data["groups"].get("streaming", {"rows": []})["rows"]:
            if row.get(how.quantity) is not None and row["mode"] == "forward and gradient":
                put(row["rule"], "streamed", row["length"], row[how.quantity])
    return {rule: methods for rule, methods in found.items() if max(map(len, methods.values())) > 1}


def growth(data: dict[str, Any], how: Growth) -> Any:
    """One panel per rule, one line per method; all panels have the same axes."""
    from matplotlib.figure import Figure

    panels = lines(data, how)
    if not panels:
        return None
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.8 * rows + 0.6), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    shown = {}
    for axis, (rule, methods) in zip(axes, panels.items(), strict=False):
        for method, points in methods.items():
            sizes = sorted(points)
            dashed = "--" if method == "streamed" else "-"
            colour = COLOURS.get(method, "#888888")
            values = [points[size] / how.unit for size in sizes]
            [shown[method]] = axis.plot(
                sizes, values, dashed, color=colour, marker="o", markersize=3
            )
        axis.set(title=rule, xscale="log", yscale="log")
        axis.grid(alpha=0.3)
        axis.tick_params(labelbottom=True)  # also above a place without a panel
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.supxlabel(how.label)
    figure.supylabel(how.what)
    labels = [f"{m}, one sequence" if m == "streamed" else m for m in shown]
    figure.legend(shown.values(), labels, loc="outside upper center", ncols=5, frameon=False)
    return figure


def ratios(data: dict[str, Any]) -> Any:
    """A bar per pair: their time over ours."""
    from matplotlib.figure import Figure

    bars = [
        (group, row["name"], row["theirs"]["seconds"] / row["ours"]["seconds"])
        for group in SECTIONS
        for row in data["groups"].get(group, {"rows": []})["rows"]
        if "ours" in row
    ]
    if not bars:
        return None
    figure = Figure(figsize=(8, 0.36 * len(bars) + 1.2), layout="constrained")
    axis = figure.subplots()
    groups = list(dict.fromkeys(group for group, _, _ in bars))
    palette = list(COLOURS.values())
    for place, (group, _, factor) in enumerate(bars):
        colour = palette[groups.index(group) % len(palette)]
        # From 1 on: to the right where memcore is faster, to the left where it is slower.
        axis.barh(place, factor - 1, left=1, color=colour)
        side = "left" if factor >= 1 else "right"
        axis.annotate(f" {factor:.3g}x ", (factor, place), ha=side, va="center", fontsize=8)
    names = [f"{name} ({group.replace('_', ' ')})" for group, name, _ in bars]
    axis.set_yticks(range(len(bars)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set(xscale="log", xlabel="how many times faster memcore is, forward and gradient")
    axis.set_title(devices(data), fontsize=9)
    axis.axvline(1.0, color="#222222", linewidth=0.8)
    axis.margins(x=0.15)
    return figure
