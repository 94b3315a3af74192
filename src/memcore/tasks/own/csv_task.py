"""A table of time steps, from a CSV file."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.readable import csv_lines
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import IGNORED, Split, check_split
from memcore.tasks.own.array_task import OwnData
from memcore.tasks.own.arrays import ArrayRows, Arrays, arrays

Column = tuple[str, ...]


@register("csv")
@dataclass(frozen=True)
class CSV(OwnData):
    """A CSV file whose lines are time steps, the first line the names of the columns.

    Whole numbers in the column of the target are classes, other numbers are numbers, words are classes in
    the order of the alphabet; nothing is asked where the cell is empty. The lines are cut into rows of
    `length` steps, in their order; a rest that fills no row is left out. The first 80% of the rows train,
    then come 10% for validation and 10% for the test: what is later is never learned from.
    """

    inputs: str = ""
    """Columns that are read, with commas between them; without it all that the other options do not name."""
    target: str = "target"
    """Column that is asked for; of numbers several, with commas between them."""
    episode: str = ""
    """Column that says to which episode a step belongs: where it changes, one begins."""
    numbers: bool = False
    """Whether whole numbers in the column of the target are numbers, and not classes."""
    length: int = 64
    """Steps of a row."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 1)

    @property
    def input_names(self) -> tuple[str, ...]:
        path = self._path("a CSV file")
        return _inputs(self, tuple(_read(path, path.stat().st_mtime_ns)))

    @property
    def output_names(self) -> tuple[str, ...]:
        if self.arrays().classes:
            return self._labels()
        return _split(self.target)

    def arrays(self) -> Arrays:
        path = self._path("a CSV file")
        return _arrays(self, path, path.stat().st_mtime_ns)

    def source(self, split: Split) -> ArrayRows:
        """The rows of one split; see `Task.source`."""
        check_split(split)
        found = self.arrays()
        count = len(found.xs)
        tenth = max(1, count // 10)
        first = {"train": 0, "validation": count - 2 * tenth, "test": count - tenth}[split]
        end = {"train": count - 2 * tenth, "validation": count - tenth, "test": count}[split]
        return found.rows(np.arange(first, end))

    def _labels(self) -> tuple[str, ...]:
        """The words that are classes; () where classes are whole numbers."""
        path = self._path("a CSV file")
        cells = _read(path, path.stat().st_mtime_ns)[self.target]
        kind = _kind(cells)
        return tuple(sorted(set(cells) - {""})) if kind == "words" else ()


@functools.lru_cache(maxsize=4)
def _arrays(task: CSV, path: Path, changed: int) -> Arrays:
    """The table of a file in rows; `changed`, when it was last written, tells one content from another."""
    table = _read(path, changed)
    names, wanted = _inputs(task, tuple(table)), _split(task.target)
    for name in (*names, *wanted, *([task.episode] if task.episode else [])):
        if name not in table:
            raise ValueError(f"{path} has no column {name!r}, expected one of {', '.join(table)}")
    steps = len(table[wanted[0]])
    count = steps // task.length
    if count < 3:
        raise ValueError(
            f"length is {task.length}, expected {steps // 3} or less: {path} has {steps} steps, and each "
            "split needs a row"
        )
    xs = np.stack([_numbers(path, name, table[name]) for name in names], axis=-1)
    targets, weights = _targets(task, path, [table[name] for name in wanted])
    starts = np.zeros(steps, bool)
    if task.episode:
        episodes = np.array(table[task.episode])
        starts[1:] = episodes[1:] != episodes[:-1]

    def cut(values: np.ndarray) -> np.ndarray:
        kept = values[: count * task.length]
        return kept.reshape(count, task.length, *values.shape[1:])

    return arrays(cut(xs), cut(targets), cut(starts), cut(weights))


def _targets(task: CSV, path: Path, columns: list[Column]) -> tuple[np.ndarray, np.ndarray]:
    """Targets (steps,) ints or (steps, columns) floats, and weights (steps,): 0 where a cell is empty."""
    empty = np.any([[cell == "" for cell in cells] for cells in columns], axis=0)
    kind = _kind(columns[0]) if len(columns) == 1 else "numbers"
    names = _split(task.target)
    if kind == "numbers" or (kind == "whole" and task.numbers):
        filled = [tuple(cell or "0" for cell in cells) for cells in columns]
        values = [_numbers(path, name, cells) for name, cells in zip(names, filled, strict=True)]
        return np.stack(values, axis=-1), ~empty
    if kind == "whole":
        return np.array([int(cell or IGNORED) for cell in columns[0]]), ~empty
    places = {label: place for place, label in enumerate(task._labels())}
    return np.array([places.get(cell, IGNORED) for cell in columns[0]]), ~empty


def _kind(cells: Column) -> Literal["whole", "numbers", "words"]:
    """What the cells of a column are, empty ones aside."""
    kinds: set[str] = set()
    for cell in set(cells) - {""}:
        try:
            float(cell)
        except ValueError:
            return "words"
        kinds.add("whole" if cell.strip().lstrip("+-").isdigit() else "numbers")
    return "numbers" if "numbers" in kinds else "whole"


def _numbers(path: Path, name: str, cells: Column) -> np.ndarray:
    """(steps,) float32; ValueError naming the line of a cell that is no number."""
    try:
        return np.array(cells, np.float64).astype(np.float32)
    except ValueError:
        for line, cell in enumerate(cells, start=2):
            if _kind((cell,)) == "words" or cell == "":
                raise ValueError(
                    f"{path} has {cell!r} in line {line}, column {name!r}, expected a number"
                ) from None
        raise


def _inputs(task: CSV, columns: Column) -> Column:
    others = {*_split(task.target), task.episode}
    return _split(task.inputs) or tuple(name for name in columns if name not in others)


def _split(names: str) -> Column:
    return tuple(name.strip() for name in names.split(",") if name.strip())


@functools.lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> dict[str, Column]:
    """The columns of a CSV file by name."""
    lines = csv_lines(path)
    if len(lines) < 2:
        raise ValueError(f"{path} has {len(lines)} lines, expected the names of columns and steps")
    for number, line in enumerate(lines, start=1):
        if len(line) != len(lines[0]):
            raise ValueError(
                f"{path} has {len(line)} cells in line {number}, expected {len(lines[0])}, as in the first"
            )
    names = [name.strip() for name in lines[0]]
    return dict(zip(names, zip(*lines[1:], strict=True), strict=True))
