"""The Markdown of a device's results, and the table over all devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from promises import promises
from tables import choices, comparison, number, ratio, rules, spread, streaming, sweep, table

SECTIONS = {
    "prefix_scan": (
        "Against a prefix scan over full elements",
        "`benchmarks/opponents.py`: `jax.lax.associative_scan` over full elements, every state kept. The "
        "selective fold stands beside one plain `jax.lax.scan`.",
    ),
    "memax": ("Against memax", ""),
    "memorax": ("Against memorax", ""),
    "mlstm_kernels": ("Against mlstm_kernels", "Its native JAX chunkwise form."),
    "flax": ("Against Flax", ""),
    "equinox": ("Against Equinox", ""),
    "torch": ("Against torch", ""),
    "mamba_torch": ("Against Mamba in torch", "The same weights on both sides."),
    "jax_nn": ("Against jax.nn", ""),
}
"""Groups that compare, with their titles."""

Group = dict[str, Any]


def markdown(data: dict[str, Any], pictures: Iterable[str] = ()) -> str:
    """Everything measured on one device."""
    groups = {name: group for name, group in data["groups"].items() if group["rows"]}
    parts = [f"# {devices(data)}"]
    if data["device"]["platform"] == "cpu":  # where they were made
        parts += ["## Promises", promises(data["groups"])]
    parts += [f"![{name.split('-')[-1].split('.')[0]}]({name})" for name in pictures]
    for name, (heading, text) in SECTIONS.items():
        if name in groups:
            parts += [f"## {heading}", *([text] if text else []), comparison(groups[name]["rows"])]
            parts.append(origin(groups[name]))
    for name, write in (("rules", by_method), ("numpy", in_numpy), ("streaming", streamed),
                        ("import_time", imports)):  # fmt: skip
        if name in groups:
            parts += [*write(groups[name]["rows"]), origin(groups[name])]
    return "\n\n".join(parts) + "\n"


def by_method(rows: list[Group]) -> Iterator[str]:
    matmul, rows = rows[0], rows[1:]
    yield "## The rules by method"
    yield "Forward and gradient."
    if "size" in matmul:
        yield (
            "The machine's speed is a float32 matmul of {0} x {0} x {0} in the same process: {1} GFLOP/s. "
            "Operations are counted from the rule's equations (`benchmarks/flops.py`), not from what "
            "the method computes."
        ).format(matmul["size"], number(matmul["flops"], 1e9))
    yield rules(rows)
    yield choices(rows)
    yield from grown(
        rows,
        "length",
        "Milliseconds by the number of steps T, each method with the chunk size that it takes itself:",
    )
    yield from grown(
        rows, "width", "By the width, K = V of a head, with four times as many channels:", "size"
    )
    yield from grown(rows, "batch", "By the number of sequences:")
    yield from grown(
        rows,
        "length",
        "And megabytes of temporaries by the number of steps:",
        "length",
        ("temporaries", 1e6),
    )


def grown(
    rows: list[Group],
    name: str,
    title: str,
    of: str = "",
    unit: tuple[str, float] = ("seconds", 1e-3),
) -> Iterator[str]:
    """The table of a sweep, if it was run."""
    if any(row["sweep"] == name for row in rows):
        yield title
        yield sweep(rows, name, lambda sizes: sizes[of or name], unit)


def in_numpy(rows: list[Group]) -> Iterator[str]:
    yield "## The rules in NumPy"
    yield "Forward."
    yield rules(rows, forward_only=True)
    yield choices(rows)


def streamed(rows: list[Group]) -> Iterator[str]:
    factors = ", ".join(f"{name}: {factor:.2f}" for name, factor in spread(rows).items())
    yield "## Streaming"
    yield (
        "One sequence, read in blocks whose state goes into the next one. The time per token is that of a "
        "stream's last block, all lengths in turns; the largest over the smallest, among lengths of whole "
        f"blocks: {factors}. The growth is the most memory in use behind a block, less that before the first "
        "one, after one block to warm up; the allocator settles within the first blocks."
    )
    yield streaming(rows)


def imports(rows: list[Group]) -> Iterator[str]:
    yield "## Import"
    lines = [[row["name"], number(row.get("seconds"), 1e-3)] for row in rows]
    yield table(["in a fresh process", "ms"], lines)


def describe(device: dict[str, Any]) -> str:
    processor = f"{device['processor']}, {device['cores']} cores"
    return processor if device["platform"] == "cpu" else f"{device['kind']} ({processor})"


def devices(data: dict[str, Any]) -> str:
    """Those that the groups were measured on; files are named by JAX's kind, which CPUs share."""
    found = [describe(group.get("device", data["device"])) for group in data["groups"].values()]
    return "; ".join(dict.fromkeys(found or [describe(data["device"])]))


def origin(group: dict[str, Any]) -> str:
    named = ", ".join(f"{name} {version}" for name, version in group["versions"].items())
    where = [describe(group["device"])] if "device" in group else []
    commit = [f"commit {group['commit']}"] if group.get("commit") else []
    return f"*{'; '.join([group['date'], *where, group['sizes'], *commit, named])}.*"


def summary(every: list[dict[str, Any]]) -> str:
    """How many times faster memcore is, one column per device; a GPU's is empty until there is one."""
    columns = {devices(data): data["groups"] for data in every}
    if all(data["device"]["platform"] == "cpu" for data in every):
        columns["GPU (none was at hand)"] = {}
    names: dict[tuple[str, str], dict[str, str]] = {}
    for device, groups in columns.items():
        for group in SECTIONS:
            for row in groups.get(group, {"rows": []})["rows"]:
                text = row.get("failure", "")
                if "ours" in row:
                    text = ratio(row["theirs"]["seconds"], row["ours"]["seconds"])
                names.setdefault((group.replace("_", " "), row["name"]), {})[device] = text
    lines = [[*key, *(cells.get(device, "") for device in columns)] for key, cells in names.items()]
    return table(["against", "forward and gradient", *columns], lines)
