"""A task of arrays: from memory, or from a file of NumPy."""

import functools
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.readable import readable
from memcore.tasks.base.registry import register
from memcore.tasks.base.splits import three_way
from memcore.tasks.base.task import Split, TaskDefaults, check_split
from memcore.tasks.own.arrays import ArrayRows, Arrays, arrays
from memcore.types import Array, Starts, Value

KEYS = ("xs", "targets", "starts", "weights")
MEMORY = "memory:"
"""What `data` begins with where the arrays came from memory: a digest of them follows."""


@dataclass(frozen=True)
class OwnData(TaskDefaults):
    """What tasks of your own data share: where it is, and the sizes that follow from it."""

    data: str | None = None
    """Where the data is."""
    classes: int = 0
    """How many classes there are; 0: as many as the data has."""
    vocabulary: int = 0
    """How many different tokens there are; 0: as many as the data has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("classes", self.classes, 0)
        at_least("vocabulary", self.vocabulary, 0)

    def arrays(self) -> Arrays:
        """All rows; raises ValueError or FileNotFoundError where there are none."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """The name, and of which file."""
        return f"{self.name} ({Path(self.data).name})" if self.data else self.name

    @property
    def tokens(self) -> bool:
        return self.arrays().tokens

    @property
    def loss(self) -> str:  # type: ignore[override]
        return "cross_entropy" if self.classes or self.arrays().classes else "mse"

    @property
    def metric(self) -> str:  # type: ignore[override]
        return "accuracy" if self.loss == "cross_entropy" else "mse"

    @property
    def in_features(self) -> int:
        xs = self.arrays().xs
        return _size("vocabulary", self.vocabulary, xs) if self.tokens else xs.shape[-1]

    @property
    def out_features(self) -> int:
        found = self.arrays()
        if not found.classes:
            return found.targets.shape[-1]
        return _size("classes", self.classes, found.targets[found.weights > 0])

    def resolved(self) -> Value:
        """The same task with the place of its data and the sizes that follow from it written out."""
        found = self.arrays()
        return replace(
            self,
            data=self.data and str(Path(self.data).expanduser().absolute()),
            classes=self.out_features if found.classes else 0,
            vocabulary=self.in_features if found.tokens else 0,
        )

    def _path(self, kind: str) -> Path:
        """The file of `data`; ValueError or FileNotFoundError where there is none."""
        if self.data is None:
            raise ValueError(f"data is None, expected {kind} (--data on the command line)")
        path = Path(self.data).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"data is {self.data}, where there is no file")
        return path


def _size(name: str, given: int, numbers: np.ndarray) -> int:
    """How many classes or tokens there are; ValueError where there are more than `given`."""
    least = int(numbers.max(initial=0)) + 1
    if given and given < least:
        raise ValueError(f"{name} is {given}, expected {least} or more: the data has a {least - 1}")
    return given or max(least, 2)


@register("array")
@dataclass(frozen=True)
class ArrayFile(OwnData):
    """Rows of your own, from a file .npz with the arrays of `ArrayTask`: xs, targets, starts, weights.

    One row in ten is for the test, one in ten of the others for validation; which ones is fixed, and
    where each row has one class, every split has all classes in the same proportion.
    """

    @property
    def length(self) -> int:
        return self.arrays().xs.shape[1]

    def arrays(self) -> Arrays:
        if (self.data or "").startswith(MEMORY):
            raise ValueError(
                f"data is {self.data!r}, arrays that were in the memory of a program: save them with "
                "numpy.savez and name the file (--data on the command line)"
            )
        path = self._path("a file .npz with xs and targets")
        return _read(path, path.stat().st_mtime_ns)

    def source(self, split: Split) -> ArrayRows:
        """The rows of one split; see `Task.source`."""
        check_split(split)
        found = self.arrays()
        count = len(found.xs)
        at_least("rows of the data", count, 3)
        single = found.classes and not found.weights[:, :-1].any()
        labels = found.targets[:, -1] if single else np.zeros(count, np.int64)
        return found.rows(three_way(labels, test=10, validation=10)[split])


class ArrayTask(ArrayFile):
    """Rows of your own, from memory.

    Args:
        xs: (N, T, features) floats, or (N, T) ints, which are tokens.
        targets: (N, T) ints, the class asked for at each step, -100 where nothing is asked; (N, T, outputs)
            or (N, T) floats, the numbers asked for; (N,) of either, asked for at the row's last step.
        starts: (N, T) bools, where episodes begin; without it, and always, at a row's first step.
        weights: (N, T) floats, how much a step counts; without it 1.
        classes: how many classes there are; 0: as many as the targets have.
        vocabulary: how many different tokens there are; 0: as many as xs has.

    Splits are those of `ArrayFile`. Two tasks of equal arrays are equal. A configuration holds a digest of
    the arrays, not the arrays: to evaluate a run from the command line, save them for `--data`.

    Raises:
        ValueError: an array of another shape or type, or numbers that are not finite.
    """

    def __init__(
        self,
        xs: Array,
        targets: Array,
        starts: Starts = None,
        weights: Array = None,
        *,
        classes: int = 0,
        vocabulary: int = 0,
    ) -> None:
        found = arrays(xs, targets, starts, weights)
        object.__setattr__(self, "_arrays", found)
        super().__init__(MEMORY + _digest(found), classes, vocabulary)
        object.__setattr__(self, "classes", self.out_features if found.classes else 0)
        object.__setattr__(self, "vocabulary", self.in_features if found.tokens else 0)

    def arrays(self) -> Arrays:
        return self._arrays  # type: ignore[attr-defined,no-any-return]

    def resolved(self) -> "ArrayTask":
        """The same task: nothing about it is decided elsewhere."""
        return self

    @property
    def title(self) -> str:
        """The name: there is no file."""
        return self.name


def _digest(found: Arrays) -> str:
    digest = hashlib.blake2s(digest_size=16)
    for key in KEYS:
        array = np.ascontiguousarray(getattr(found, key))
        digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


@functools.lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Arrays:
    """The arrays in a file; `changed`, when it was last written, tells one content from another."""
    with readable(path, "a file .npz of arrays"), path.open("rb") as file:
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("it is one array")
        held = {key: found[key] for key in found.files}
    unknown = sorted(set(held) - set(KEYS))
    if unknown or not {"xs", "targets"} <= set(held):
        raise ValueError(
            f"{path} holds {', '.join(sorted(held)) or 'nothing'}, expected xs and targets, and if need be "
            "starts and weights"
        )
    return arrays(**held)
