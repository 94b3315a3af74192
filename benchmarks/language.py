"""Models side by side on a text: bits per byte after one number of tokens.

    python benchmarks/language.py --data tinyshakespeare.txt      # minutes for each model on two cores

Runs ``memcore train --task text``, and writes the part *Side by side* of the page on language, a picture
beside it, and all numbers into ``benchmarks/results/language``. A run that is there is not made again,
and one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from itertools import product
from pathlib import Path
from typing import Any

import jax
import numpy as np
from results import write

import memcore
from memcore.cli import main as command

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "language.md"
RESULTS = ROOT / "benchmarks" / "results" / "language" / "results.json"
PICTURE = ROOT / "docs" / "pictures" / "language.png"
PART = "## Side by side\n"
MODELS = (
    "gru",
    "lstm",
    "lru",
    "gated_delta_net",
    "mamba",
    "attention:window=64",
    "neural_memory",
    "rmt",
    "titans_mac",
    "titans_mag",
    "titans_mal",
)
WIDTH, LAYERS, ROWS, SEGMENT, LENGTH = 128, 2, 16, 128, 1024
COLOURS = 10
"""Those that matplotlib takes in turns."""
SMOOTH = 10
"""Updates over whose mean a curve goes."""


def trained(name: str, seed: int, data: Path, steps: int, out: Path) -> dict[str, Any]:
    """The result of a run, its curve, and its time, compilation included."""
    options = ["--task", "text", "--data", str(data), "--model", name, "--position", "none"]
    sizes = {"width": WIDTH, "layers": LAYERS, "batch-size": ROWS, "segment": SEGMENT}
    sizes |= {"task-options.length": LENGTH, "steps": steps, "validate-every": steps, "seed": seed}
    options += [word for key, value in sizes.items() for word in (f"--{key}", str(value))]
    options += ["--learning-rate", "4e-3", "--weight-decay", "0.1", "--out", str(out)]
    if command(["train", *options]):
        raise SystemExit(f"{name} did not train")
    found = json.loads((out / "results.json").read_text())
    lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return {
        "model": name,
        "seed": seed,
        "steps": steps,
        "data": data.name,
        "bits_per_byte": found["test_metric"],
        "parameters": found["parameters"],
        "state": found["state_size"],
        "seconds": found["seconds"],
        "device": jax.devices()[0].device_kind,
        "train": [round(line["bits_per_byte"], 4) for line in lines if line["split"] == "train"],
    }


def by_model(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The runs of each model, the lowest mean first."""
    models = dict.fromkeys(row["model"] for row in rows)
    runs = [[row for row in rows if row["model"] == model] for model in models]
    return sorted(runs, key=lambda runs: statistics.fmean(bits(runs)))


def bits(runs: list[dict[str, Any]]) -> list[float]:
    return [row["bits_per_byte"] for row in runs]


def part(rows: list[dict[str, Any]], data: Path, steps: int) -> list[str]:
    """The lines of the page."""
    tokens = steps * ROWS * SEGMENT
    lines = [
        PART,
        f"By `python benchmarks/language.py --steps {steps}` on {data.name}: {LAYERS} layers of width "
        f"{WIDTH} in the same stack, {steps} updates of {ROWS} rows of {SEGMENT} characters, {tokens:,} in "
        "all, learning rate 0.004; the mean over the seeds, from the lowest to the highest. This is the "
        "beginning of learning, not its end; the test is the last 5% of the text.\n",
        "| model | bits per byte | seeds | parameters | state | time of a run |",
        "|---|---|---|---|---|---|",
    ]
    for runs in by_model(rows):
        row, found = runs[0], bits(runs)
        spread = f" ({min(found):.3f} to {max(found):.3f})" if len(runs) > 1 else ""
        took = statistics.median(row["seconds"] for row in runs)
        lines.append(
            f"| `{row['model']}` | {statistics.fmean(found):.3f}{spread} | {len(runs)} | "
            f"{row['parameters']:,} | {row['state']:,} | {took:.0f} s ({row['device']}) |"
        )
    return [*lines, "", f"![Bits per byte over the characters read](pictures/{PICTURE.name})"]


def draw(rows: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, runs in enumerate(by_model(rows)):
        curve = np.mean([row["train"] for row in runs], axis=0)
        mean = np.convolve(curve, np.ones(SMOOTH) / SMOOTH, mode="valid")
        read = (np.arange(len(mean)) + SMOOTH) * ROWS * SEGMENT
        line = "--" if number >= COLOURS else "-"
        axes.plot(read, mean, line, label=runs[0]["model"])
    axes.set(xlabel="characters read", ylabel="bits per byte, training")
    axes.legend(fontsize=7)
    figure.savefig(PICTURE)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="the text")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=MODELS)
    asked = parser.parse_args()
    if asked.steps < SMOOTH or asked.seeds < 1:
        parser.error(
            f"steps and seeds are {asked.steps}, {asked.seeds}, expected {SMOOTH} and 1 or more"
        )
    for name in asked.models:
        if name.partition(":")[0] not in memcore.registry:
            parser.error(f"models has {name!r}, expected names of registered models")
    if not asked.data.is_file():
        parser.error(f"data is {asked.data}, where there is no file")
    there = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    same = (asked.steps, asked.data.name)
    rows = [row for row in there if (row["steps"], row["data"]) == same]
    for name, seed in product(asked.models, range(asked.seeds)):
        if not any((row["model"], row["seed"]) == (name, seed) for row in rows):
            out = ROOT / "runs" / "language" / f"{name.replace(':', '-')}-{asked.steps}-{seed}"
            rows.append(trained(name, seed, asked.data, asked.steps, out))
            write(RESULTS, json.dumps(rows, indent=1) + "\n")
    draw(rows)
    before = PAGE.read_text(encoding="utf-8").partition(PART)[0].rstrip("\n")
    lines = part(rows, asked.data, asked.steps)
    PAGE.write_text(before + "\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
