"""Rows of results as tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(x: float | None, unit: float = 1.0) -> str:
    """Three digits of ``x / unit``; nothing for None."""
    if x is None:
        return ""
    x = x / unit
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"


def ratio(theirs: float | None, ours: float | None) -> str:
    return f"{number(theirs / ours)}x" if theirs and ours else ""


def comparison(rows: list[dict[str, Any]]) -> str:
    """One line per pair; theirs over ours."""
    header = ["forward and gradient", "faster", "memcore, ms", "theirs, ms", "compiles faster",
              "memcore, MB", "theirs, MB", "values", "remark"]  # fmt: skip
    lines = []
    for row in rows:
        if "ours" not in row:
            lines.append([row["name"], *[""] * 7, row["failure"]])
            continue
        ours, theirs = row["ours"], row["theirs"]
        lines.append(
            [
                row["name"],
                ratio(theirs["seconds"], ours["seconds"]),
                number(ours["seconds"], 1e-3),
                number(theirs["seconds"], 1e-3),
                ratio(theirs["compile_seconds"], ours["compile_seconds"]),
                number(ours["temporaries"], 1e6),
                number(theirs["temporaries"], 1e6),
                "the same" if row["same"] else "not compared",
                row["note"],
            ]
        )
    return table(header, lines)


def method(row: dict[str, Any]) -> str:
    return f"{row['method']} {row['chunk']}" if row["chunk"] else row["method"]


def rules(rows: list[dict[str, Any]], forward_only: bool = False) -> str:
    """The problem itself: every rule by method and chunk; the fastest is marked."""
    rows = [row for row in rows if row["sweep"] == "base"]
    header = ["rule", "method", "ms", "compile, s", "temporaries, MB", "GFLOP/s", "of the matmul's"]
    best: dict[str, float] = {}
    for row in rows:
        if "seconds" in row:
            best[row["rule"]] = min(row["seconds"], best.get(row["rule"], float("inf")))
    lines = []
    for row in rows:
        if "failure" in row:
            lines.append([row["rule"], method(row), row["failure"], *[""] * 4])
            continue
        mark = "**" if row["seconds"] == best[row["rule"]] else ""
        flops, fraction = row.get("flops"), row.get("fraction")
        lines.append(
            [
                row["rule"],
                f"{mark}{method(row)}{mark}",
                number(row["seconds"], 1e-3),
                number(row["compile_seconds"]),
                number(row["temporaries"], 1e6),
                number(flops / row["seconds"] if flops else None, 1e9),
                f"{100 * fraction:.2g}%" if fraction else "",
            ]
        )
    keep = slice(3) if forward_only else slice(None)
    return table(header[keep], [line[keep] for line in lines])


def sweep(
    rows: list[dict[str, Any]], name: str, of: Callable[[dict[str, Any]], int],
    quantity: tuple[str, float] = ("seconds", 1e-3),
) -> str:  # fmt: skip
    """A quantity in its unit, milliseconds, by rule and method; a column for each length, width or batch."""
    what, unit = quantity
    rows = [row for row in rows if row["sweep"] in ("base", name)]
    columns = sorted({of(row["sizes"]) for row in rows})
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for row in rows:
        line = cells.setdefault((row["rule"], row["method"]), {})
        at = of(row["sizes"])
        if row.get(what) is not None:
            # The problem itself was measured with several chunk sizes: the least stands for it.
            text = number(row[what], unit)
            line[at] = text if at not in line else min(line[at], text, key=_value)
        else:
            line.setdefault(at, row.get("failure", "").split(":")[0])
    header = ["rule", "method", *(f"{name} {column:,}" for column in columns)]
    return table(
        header, [[*key, *(line.get(c, "") for c in columns)] for key, line in cells.items()]
    )


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def streaming(rows: list[dict[str, Any]]) -> str:
    header = ["rule", "mode", "tokens", "block", "s", "ns per token", "temporaries of a block, MB",
              "growth of memory, MB"]  # fmt: skip
    lines = []
    for row in rows:
        start = [row["rule"], row["mode"], f"{row['length']:,}", f"{row['block']:,}"]
        if "failure" in row:
            lines.append([*start, row["failure"], "", "", ""])
            continue
        lines.append(
            [
                *start,
                number(row["seconds"]),
                number(row["seconds_per_token"], 1e-9),
                number(row["temporaries"], 1e6),
                number(row["growth"], 1e6),
            ]
        )
    return table(header, lines)


def spread(rows: list[dict[str, Any]]) -> dict[str, float]:
    """By rule and mode, the largest time per token over the smallest, among runs of whole blocks."""
    kept: dict[str, list[float]] = {}
    largest = max((row["block"] for row in rows), default=0)
    for row in rows:
        if "seconds" in row and row["block"] == largest:
            kept.setdefault(f"{row['rule']}, {row['mode']}", []).append(row["seconds_per_token"])
    return {name: max(times) / min(times) for name, times in kept.items()}


def choices(rows: list[dict[str, Any]]) -> str:
    """The fastest method of every rule, beside the one that ``method="auto"`` takes."""
    lines = {}
    for row in sorted(rows, key=lambda row: row.get("seconds", float("inf"))):
        if row["sweep"] == "base":
            lines.setdefault(row["rule"], [row["rule"], method(row), row["auto"]])
    return table(["rule", "fastest here", "`auto` takes"], lines.values())
