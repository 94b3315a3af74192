"""What memcore promises of its speed and memory, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sizes import FULL
from tables import number, spread, table

# Group, part of the row's name, and at least how many times: faster, smaller temporaries, faster compiled.
PAIRS = (
    # Compiling: 10 until an overflow in a chunk's system stayed in its segment; 9.6 and 10.8 since.
    ("prefix_scan", "gated delta rule", 40, 10, 8),
    ("prefix_scan", "linear attention", 15, 10, None),
    ("memorax", "LinearAttentionCell", 1, None, None),
    ("prefix_scan", "diagonal complex recurrence", 3, None, 10),
    ("prefix_scan", "complex recurrence, decays of every step", 6, 10, 10),
    ("prefix_scan", "selective scan", 5, 20, None),
    ("prefix_scan", "selective fold", 1.6, 5, None),
    ("mamba_torch", "MambaMixer", 1, None, None),
    ("mamba_torch", "MambaBlock", 1, None, None),
    ("memorax", "MambaCell", 1, None, None),
    ("memax", "Attention", 30, None, None),
    ("memax", "LRU", 3, None, None),
    ("memorax", "LRUCell", 3, None, None),
    ("memax", "", 1, None, None),
    ("memorax", "", 1, None, None),
    ("mlstm_kernels", "mLSTM", 1, None, None),
    ("torch", "GRU", 1, None, None),
    ("torch", "LSTM", 0.5, None, None),
    ("flax", "GRU", 1, None, None),
    ("flax", "LSTM", 1, None, None),
    ("equinox", "GRU", 1, None, None),
    ("equinox", "LSTM", 1, None, None),
    ("prefix_scan", "GatedDeltaNet layer", 10, None, 5),
)
QUANTITIES = {"seconds": "faster", "temporaries": "smaller temporaries",
              "compile_seconds": "faster compiled"}  # fmt: skip
STREAMED, TOKENS, SPREAD, BYTES_PER_TOKEN = "linear_attention", 4**10, 1.1, 4

Groups = dict[str, Any]


def promises(groups: Groups) -> str:
    """A table: kept, missed, or not measured at the full size."""
    return table(["promise", "bound", "measured", ""], [*compared(groups), *streamed(groups)])


def rows_of(groups: Groups, group: str) -> list[dict[str, Any]]:
    found = groups.get(group, {"sizes": "", "rows": []})
    return [row for row in found["rows"] if "failure" not in row and found["sizes"] == str(FULL)]


def compared(groups: Groups) -> Iterator[list[str]]:
    """Of several rows that a name fits (mLSTM's chunks; every row fits none) the worst counts."""
    for group, name, *bounds in PAIRS:
        rows = [row for row in rows_of(groups, group) if name in row["name"]]
        for (quantity, word), bound in zip(QUANTITIES.items(), bounds, strict=True):
            if bound is not None:
                ratios = [row["theirs"][quantity] / row["ours"][quantity] for row in rows]
                found = min(ratios, default=None)
                measured = "" if found is None else f"{number(found)}x"
                kept = None if found is None else found >= bound
                title = f"{name or 'every one'}, against {group.replace('_', ' ')}: {word}"
                yield [title, f"at least {bound}x", measured, verdict(kept)]


def streamed(groups: Groups) -> Iterator[list[str]]:
    """Time per token at the ends of streams; memory, once a quarter of the longest one has been read."""
    every = [row for row in rows_of(groups, "streaming") if row["rule"] == STREAMED]
    for mode in ("forward", "forward and gradient"):
        rows = {row["length"]: row for row in every if row["mode"] == mode}
        factor = growth = None
        if {TOKENS // 4, TOKENS} <= set(rows):
            [factor] = spread(list(rows.values())).values()
            late, early = rows[TOKENS]["growth"], rows[TOKENS // 4]["growth"]
            growth = None if late is None else (late - early) / (TOKENS - TOKENS // 4)
        for what, found, bound in (
            ("time per token, largest over smallest", factor, SPREAD),
            (f"bytes more per token after {TOKENS // 4:,} tokens", growth, BYTES_PER_TOKEN),
        ):
            kept = None if found is None else found <= bound
            title = f"linear attention streamed, {mode}: {what}"
            yield [title, f"at most {bound}", number(found), verdict(kept)]


def verdict(kept: bool | None) -> str:
    return "not measured" if kept is None else "kept" if kept else "**missed**"
