"""Recurrences and matrix memories over a table of shapes, beside prefix scans over full elements.

    python benchmarks/shapes.py
    python benchmarks/shapes.py --rules linear_attention --shapes 64x32x4x16

Forward and gradient, both sides in turns, with starts. What is measured replaces its rows in
``benchmarks/results/shapes/shapes.json``; the table beside it has all.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jax
from harness import Effort, agree, compiled, forward_and_gradient, measure
from peers import prefix_scan
from results import origin, put
from sizes import WIDE, Sizes
from tables import number, ratio, table

HEADED = ("16x128x2x32", "64x32x4x16", "256x32x2x32", "32x256x4x32", "4x1024x4x64")
"""B x T x H x K, of matrix memories: those of reinforcement learning, and two longer ones."""
RULES = {
    "diagonal": WIDE, "diagonal_of_every_step": WIDE, "selective_scan": WIDE,
    "linear_attention": HEADED, "gated_delta_rule": HEADED,
}  # fmt: skip
MOST = 2**27
"""Numbers of the elements of all steps, beyond which a row is left out: a scan keeps some six copies."""
EFFORT = Effort(blocks=4, seconds=0.15, least=2, most=40)
PATH = Path(__file__).parent / "results" / "shapes" / "shapes.json"


def sizes(shape: str) -> Sizes:
    batch, length, *rest = map(int, shape.split("x"))
    if len(rest) == 1:
        return Sizes(batch, length, width=rest[0])
    return Sizes(batch, length, heads=rest[0], size=rest[1])


def numbers(rule: str, n: Sizes) -> int:
    """How many numbers the elements of all steps have."""
    own = {
        "diagonal": 4 * n.width,
        "diagonal_of_every_step": 4 * n.width,
        "selective_scan": 32 * n.width,
    }
    return n.batch * n.length * own.get(rule, 2 * n.heads * n.size**2)


def compare(rule: str, shape: str) -> dict[str, Any]:
    """One row: the same numbers, then the time in turns."""
    pair = prefix_scan.pairs(sizes(shape))[rule]()
    sides = [forward_and_gradient(side) for side in (pair.ours, pair.theirs)]
    programs = [compiled(side, pair.args, once=True) for side in sides]
    agree(f"{rule}, {shape}", *(program.run() for program in programs))
    ours, theirs = (vars(side) for side in measure(programs, EFFORT))
    return {"name": [rule, shape], "ours": ours, "theirs": theirs}


def markdown(found: dict[str, Any]) -> str:
    """A table for each kind of shape: times faster, milliseconds of both, times fewer temporaries."""
    rows = {tuple(row["name"]): row for row in found["rows"]}
    text = [
        "# Rules by shape",
        "Forward and gradient, with starts, float32: how many times faster memcore is than a prefix scan "
        "over full elements; in brackets its milliseconds and theirs, and how many times smaller its "
        "temporaries are. " + origin(found),
    ]
    for head, shapes in (("B x T x N", WIDE), ("B x T x H x K", HEADED)):
        rules = [rule for rule, own in RULES.items() if own is shapes]
        lines = [[shape, *(cell(rows.get((rule, shape))) for rule in rules)] for shape in shapes]
        spans = [[span(rows, rule, of) for rule in rules] for of in ("seconds", "temporaries")]
        lines += [[name, *line] for name, line in zip(("faster", "smaller"), spans, strict=True)]
        text.append(table([head, *(rule.replace("_", " ") for rule in rules)], lines))
    return "\n\n".join(text) + "\n"


def span(rows: dict[tuple[str, ...], Any], rule: str, of: str) -> str:
    """The least and the most that memcore has less of."""
    own = [row["theirs"][of] / row["ours"][of] for name, row in rows.items() if name[0] == rule]
    return f"{number(min(own))}x to {number(max(own))}x" if own else ""


def cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    ours, theirs = row["ours"], row["theirs"]
    times = [number(side["seconds"], 1e-3) for side in (ours, theirs)]
    smaller = ratio(theirs["temporaries"], ours["temporaries"])
    return f"{ratio(theirs['seconds'], ours['seconds'])} ({', '.join(times)}; {smaller})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rules", nargs="+", default=RULES, choices=RULES)
    parser.add_argument("--shapes", nargs="+", default=(*WIDE, *HEADED), choices=(*WIDE, *HEADED))
    options = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    pairs = [(r, s) for r in options.rules for s in RULES[r] if s in options.shapes]
    pairs = [(rule, shape) for rule, shape in pairs if numbers(rule, sizes(shape)) <= MOST]
    if not pairs:
        parser.error(f"{options.rules} have none of the shapes {options.shapes}")
    for rule, shape in pairs:
        row = compare(rule, shape)
        put(PATH, ("memcore", "jax"), row, markdown)
        print(rule, shape, cell(row), flush=True)


if __name__ == "__main__":
    main()
