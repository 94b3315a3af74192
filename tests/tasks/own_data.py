"""Small data of one's own: files, and a stand-in for the package `datasets`."""

import csv
import sys
import types
from pathlib import Path

import numpy as np


def options(name: str, folder: Path, monkeypatch) -> dict[str, object]:
    """Options of one of the tasks of own data, whose data is made here; {} for other tasks."""
    if name == "array":
        return {"data": str(array_file(folder / "rows.npz"))}
    if name == "csv":
        return {"data": str(csv_file(folder / "steps.csv")), "length": 6}
    if name == "hugging_face":
        pretend(monkeypatch, {"train": texts(300)})
        return {"data": "someone/texts", "length": 12}
    return {}


def array_file(path: Path, count: int = 120) -> Path:
    """Rows of 7 steps of 2 features; at each step, whether the first is positive."""
    xs = np.random.RandomState(0).normal(size=(count, 7, 2))
    np.savez(path, xs=xs, targets=(xs[..., 0] > 0).astype(int))
    return path


def csv_file(path: Path, steps: int = 800) -> Path:
    """Two numbers, and the word for the sign of the first."""
    numbers = np.random.RandomState(0).normal(size=(steps, 2)).round(3)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "target"])
        writer.writerows([a, b, "up" if a > 0 else "down"] for a, b in numbers.tolist())
    return path


def texts(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Rows of a data set of Hugging Face: random texts, and whether an x is in them."""
    random = np.random.RandomState(seed)
    words = ["".join(random.choice(list("wxyz"), size=random.randint(3, 12))) for _ in range(count)]
    return [{"text": f"{i}{word}", "label": int("x" in word)} for i, word in enumerate(words)]


class Rows(list):
    """Rows with columns, as `datasets.Dataset` has them."""

    def __getitem__(self, key):
        return [row[key] for row in self] if isinstance(key, str) else super().__getitem__(key)


def pretend(monkeypatch, splits: dict[str, list[dict[str, object]]]) -> list[tuple[object, ...]]:
    """Put a module `datasets` in place that has these splits; returns what it is asked for."""
    from memcore.tasks.own import hugging_face

    hugging_face._load.cache_clear()
    calls: list[tuple[object, ...]] = []

    def load_dataset(*asked):
        calls.append(asked)
        return {name: Rows(rows) for name, rows in splits.items()}

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    return calls
