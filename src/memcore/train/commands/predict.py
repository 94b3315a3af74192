"""`memcore predict`: what a run's model makes of inputs in a file."""

import csv
import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from memcore import tasks
from memcore.cell import Model
from memcore.tasks.base.readable import csv_lines, readable
from memcore.train.commands.reported import reported
from memcore.types import Params, Value

PROG = "memcore predict"


@dataclass(frozen=True)
class Options:
    """Give inputs in a file to the model of a finished run.

    The inputs are one sequence, (steps, features) numbers or (steps,) tokens, or several of equal length,
    (sequences, steps, ...): a file .npy, or .csv with a line for each step. The outputs go to a file .npy,
    (sequences, steps, outputs) or without the first axis, or as CSV with a line for each step: the class
    of the highest score, if the run learned classes, and all outputs.
    """

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    input: Path
    """File of the inputs, .npy or .csv."""
    output: Path | None = None
    """File of the outputs, .npy or .csv; without it they are printed as CSV."""


@reported(PROG)
def main(arguments: Sequence[str]) -> None:
    """Run the command; returns its exit code: 2 where arguments or data are not as they should be."""
    given = tyro.cli(Options, args=arguments, prog=PROG, description=inspect.getdoc(Options))
    output = given.output and given.output.expanduser()
    options = Options(given.run.expanduser(), given.input.expanduser(), output)
    _ending("input", options.input)
    if options.output is not None:
        _ending("output", options.output)
    predict(options)


def predict(options: Options) -> None:
    """Read, compute, write."""
    # After parsing: --help answers without loading jax and its company.
    from memcore.train.runs.files import beside
    from memcore.train.runs.trained import beyond, settings, trained

    values = settings(options.run)
    model, params = trained(options.run)
    xs, several = read(options.input, model)
    if warning := beyond(model, xs.shape[1]):
        print(f"{PROG}: {warning}", file=sys.stderr)
    outputs = run(model, params, xs, values["precision"])
    lines = table(outputs, several, _classes(values["task"]))
    if options.output is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(lines)
        return
    with beside(options.output) as draft:
        if options.output.suffix == ".npy":
            np.save(draft, outputs if several else outputs[0])
        else:
            with draft.open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(lines)
    print(options.output)


def run(model: Model, params: Params, xs: np.ndarray, precision: str) -> np.ndarray:
    """The outputs (B, T, outputs) float32 for inputs (B, T, ...); long sequences are streamed."""
    import jax

    from memcore.train.objective.objective import Objective
    from memcore.train.runs.trained import computing, streamed

    model = computing(model, precision)
    apply = jax.jit(model.apply)
    objective = Objective(precision=precision)  # type: ignore[arg-type]
    length = xs.shape[1]
    size = streamed(model, length) or length
    state, outputs = None, []
    for first in range(0, length, size):
        state, ys = apply(
            params, objective.inputs(jax.numpy.asarray(xs[:, first : first + size])), state
        )
        outputs.append(np.asarray(ys, np.float32))
    return np.concatenate(outputs, axis=1)


def read(path: Path, model: Model) -> tuple[np.ndarray, bool]:
    """Inputs (B, T, features) float32 or (B, T) int32, and whether the file has several sequences.

    Raises ValueError where the model reads something else, FileNotFoundError where there is no file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"input is {path}, where there is no file")
    xs = _lines(path) if path.suffix == ".csv" else _array(path)
    tokens = model.input_ndim == 0
    if tokens and xs.ndim == 2 and path.suffix == ".csv" and xs.shape[1] == 1:
        xs = xs[:, 0]
    if not tokens and xs.ndim == 1 and model.in_features == 1:
        xs = xs[:, None]
    _check(path, xs, model, tokens)
    several = xs.ndim == (2 if tokens else 3)
    return (xs if several else xs[None]).astype(np.int32 if tokens else np.float32), several


def _check(path: Path, xs: np.ndarray, model: Model, tokens: bool) -> None:
    """Raise ValueError unless the model can read these inputs."""
    given = f"input {path} holds {xs.dtype} of shape {xs.shape}"
    if tokens:
        whole = xs.dtype.kind in "iuf" and (xs == np.round(xs)).all()
        if xs.ndim not in (1, 2) or not xs.size or not whole:
            raise ValueError(f"{given}, expected tokens, (steps,) or (sequences, steps)")
        if xs.min() < 0 or xs.max() >= model.in_features:
            raise ValueError(
                f"input {path} has tokens from {xs.min()} to {xs.max()}, expected 0 to "
                f"{model.in_features - 1}"
            )
        return
    fits = xs.ndim in (2, 3) and xs.size and xs.shape[-1] == model.in_features
    if xs.dtype.kind not in "biuf" or not fits:
        width = model.in_features
        raise ValueError(
            f"{given}, expected numbers, (steps, {width}) or (sequences, steps, {width})"
        )


def _array(path: Path) -> np.ndarray:
    with readable(path, "a file .npy of an array"), path.open("rb") as file:
        found = np.load(file, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError("it holds several")
    return found


def _lines(path: Path) -> np.ndarray:
    """The numbers of a CSV file, (steps, columns); a first line of names is left out."""
    cells = csv_lines(path)
    if cells and not _numeric(cells[0]):
        del cells[0]
    for number, line in enumerate(cells):
        if not _numeric(line) or len(line) != len(cells[0]):
            raise ValueError(
                f"input {path} has {','.join(line)!r} after {number} lines of numbers, expected "
                f"{len(cells[0])} numbers"
            )
    return np.array(cells, np.float64)


def _numeric(line: list[str]) -> bool:
    try:
        [float(cell) for cell in line]
    except ValueError:
        return False
    return True


def table(outputs: np.ndarray, several: bool, classes: bool) -> Iterator[list[Value]]:
    """The lines of a CSV file: a head, then one for each step of (B, T, outputs)."""
    names = [f"output_{i}" for i in range(outputs.shape[-1])]
    yield [*(["sequence"] if several else []), "step", *(["class"] if classes else []), *names]
    for row, sequence in enumerate(outputs):
        for step, values in enumerate(sequence):
            chosen = [int(values.argmax())] if classes else []
            yield [
                *([row] if several else []),
                step,
                *chosen,
                *(f"{value:.6g}" for value in values),
            ]


def _classes(task: dict[str, Any]) -> bool:
    """Whether the run learned classes; of data that is not there any more, what its options say."""
    try:
        return tasks.make(**task).loss in ("cross_entropy", "squared_hinge")
    except (ValueError, OSError):
        return False


def _ending(name: str, path: Path) -> None:
    """Raise ValueError for a file that is neither .npy nor .csv."""
    if path.suffix not in (".npy", ".csv"):
        raise ValueError(f"{name} is {str(path)!r}, expected a file that ends in .npy or .csv")
