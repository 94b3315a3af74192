"""Arrays that are not yet a task: checked, and brought into the form of a batch."""

from dataclasses import dataclass

import numpy as np

from memcore.tasks.base.task import IGNORED, Example, check_index
from memcore.types import Array, Starts


@dataclass(frozen=True, eq=False)
class Arrays:
    """N rows of T steps, as the arrays of a batch are."""

    xs: np.ndarray
    starts: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    @property
    def tokens(self) -> bool:
        return self.xs.ndim == 2

    @property
    def classes(self) -> bool:
        """Whether the targets are classes, and not numbers."""
        return self.targets.ndim == 2

    def rows(self, indices: np.ndarray) -> "ArrayRows":
        """Some of the rows, as the source of a split."""
        return ArrayRows(self, indices)


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """The rows `indices` (n,) of arrays."""

    arrays: Arrays
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Example:
        check_index(index, len(self))
        row = self.indices[index]
        return {
            key: getattr(self.arrays, key)[row] for key in ("xs", "starts", "targets", "weights")
        }


def arrays(xs: Array, targets: Array, starts: Starts = None, weights: Array = None) -> Arrays:
    """The arrays of a batch from what `ArrayTask` takes.

    Raises ValueError that names the array, what came and what was expected.
    """
    xs = _inputs(np.asarray(xs))
    shape = xs.shape[:2]
    targets, last = _targets(np.asarray(targets), shape)
    counts = np.ones(shape, np.float32)
    if last:
        counts[:, :-1] = 0
    if weights is not None:
        counts = counts * _shaped("weights", np.asarray(weights, np.float32), shape)
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(
            "weights has a number below 0 or one that is not finite, expected 0 or more"
        )
    if targets.ndim == 2:
        counts = np.where(targets == IGNORED, np.float32(0), counts)
        _check_classes(targets, counts)
    elif not np.isfinite(targets[counts > 0]).all():
        raise ValueError("targets has a number that is not finite where the weight is not 0")
    begin = np.zeros(shape, bool)
    if starts is not None:
        begin |= _shaped("starts", np.asarray(starts).astype(bool), shape)
    begin[:, 0] = True
    return Arrays(xs, begin, targets, counts)


def _inputs(xs: np.ndarray) -> np.ndarray:
    """(N, T) int32 tokens, or (N, T, F) float32."""
    whole = np.issubdtype(xs.dtype, np.integer) or xs.dtype == bool
    if xs.ndim not in (2, 3) or not xs.size or not (whole or np.issubdtype(xs.dtype, np.floating)):
        raise ValueError(
            f"xs is {xs.dtype} of shape {xs.shape}, expected ints (N, T), tokens, or floats (N, T, features)"
        )
    if xs.ndim == 2 and whole:
        if xs.min() < 0:
            raise ValueError(f"xs has the token {xs.min()}, expected 0 or more")
        return xs.astype(np.int32)
    if not np.isfinite(xs).all():
        row, step = np.argwhere(~np.isfinite(xs))[0][:2]
        raise ValueError(f"xs is not finite in row {row}, step {step}, expected finite numbers")
    return (xs if xs.ndim == 3 else xs[..., None]).astype(np.float32)


def _targets(targets: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    """Targets of every step, and whether they were given for the whole row: then the last step counts."""
    whole = np.issubdtype(targets.dtype, np.integer) or targets.dtype == bool
    last = targets.shape == shape[:1]
    if last:
        targets = np.repeat(targets[:, None], shape[1], axis=1)
    if targets.shape[:2] != shape or targets.ndim > (2 if whole else 3):
        raise ValueError(
            f"targets is {targets.dtype} of shape {targets.shape}, expected ({shape[0]},), {shape}, or "
            f"({shape[0]}, {shape[1]}, outputs) of floats, as xs has {shape[0]} rows of {shape[1]} steps"
        )
    if whole:
        return targets.astype(np.int32), last
    if not np.issubdtype(targets.dtype, np.floating):
        raise ValueError(f"targets is {targets.dtype}, expected ints, classes, or floats, numbers")
    return (targets if targets.ndim == 3 else targets[..., None]).astype(np.float32), last


def _check_classes(targets: np.ndarray, weights: np.ndarray) -> None:
    """Classes that count are not negative; those that do not count may be anything."""
    counted = targets[weights > 0]
    if counted.size and counted.min() < 0:
        raise ValueError(
            f"targets has the class {counted.min()}, expected 0 or more, or {IGNORED} where nothing is asked"
        )


def _shaped(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.shape != shape:
        raise ValueError(f"{name} has the shape {array.shape}, expected {shape}, as xs")
    return array
