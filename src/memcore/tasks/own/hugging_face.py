"""Data sets of Hugging Face, from the hub or from a folder, through the package `datasets`."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.generated import episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.splits import stratified, three_way
from memcore.tasks.base.task import (
    IGNORED,
    SPLITS,
    Example,
    Split,
    TaskDefaults,
    check_index,
    check_split,
)
from memcore.tasks.text.vocabulary import visible
from memcore.types import Value

BYTES = 257
"""Tokens of a text: its bytes in UTF-8, from 1 on; 0 fills up."""


@register("hugging_face")
@dataclass(frozen=True)
class HuggingFace(TaskDefaults):
    """A data set of Hugging Face: name the class of each example, or one for each of its steps.

    The inputs of an example are a text (its bytes in UTF-8 are the tokens, from 1 on), an image (its pixels,
    from 0 to 1), a list of whole numbers (tokens), or a list of numbers or of lists of them. A single target
    is asked for at the example's last step; a list has one for each step, and -100 asks for nothing. Longer
    examples are cut after `length` steps, shorter ones filled up behind, where nothing is asked.

    The splits are the data set's train, validation and test; a missing one is a tenth of train.
    """

    data: str | None = None
    """Its name on the hub, or a folder with its files."""
    config: str | None = None
    """Which of its configurations."""
    inputs: str = "text"
    """Column that is read."""
    target: str = "label"
    """Column that is asked for, of classes."""
    length: int = 256
    """Steps of a row."""
    classes: int = 0
    """How many classes there are; 0: as many as the data set says or has."""
    vocabulary: int = 0
    """How many different tokens lists of whole numbers have; 0: as many as the data set has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 1)
        at_least("classes", self.classes, 0)
        at_least("vocabulary", self.vocabulary, 0)

    @property
    def title(self) -> str:
        """The name, and which data set it is."""
        return f"{self.name} ({Path(self.data).name})" if self.data else self.name

    @property
    def tokens(self) -> bool:
        return self._first().ndim == 1

    @property
    def in_features(self) -> int:
        first = self._first()
        if first.ndim == 2:
            return first.shape[1]
        if isinstance(self._set()["train"][0][self.inputs], str):
            return BYTES
        return self.vocabulary or 1 + _greatest(self._set(), self.inputs)

    @property
    def out_features(self) -> int:
        named = len(self.output_names)
        return self.classes or named or 1 + _greatest(self._set(), self.target)

    @property
    def input_names(self) -> tuple[str, ...]:
        if not self.tokens or self.in_features != BYTES:
            return ()
        letters = (visible(chr(byte)) if byte < 128 else f"{byte:x}" for byte in range(BYTES - 1))
        return ("·", *letters)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names that the data set has for its classes."""
        feature = getattr(self._set()["train"], "features", {}).get(self.target)
        return tuple(getattr(feature, "names", None) or ())

    def resolved(self) -> Value:
        """The same task with the place of its data and the sizes that follow from it written out."""
        folder = Path(self.data or "").expanduser()
        here = str(folder.absolute()) if self.data and folder.exists() else self.data
        texts = self.in_features == BYTES or not self.tokens
        vocabulary = 0 if texts else self.in_features
        return replace(self, data=here, classes=self.out_features, vocabulary=vocabulary)

    def source(self, split: Split) -> "HuggingFaceRows":
        """The examples of one split; raises as `datasets` does where it does not find them."""
        check_split(split)
        held = self._set()
        whole = split in held and (split != "train" or set(SPLITS) <= set(held))
        if whole:
            return HuggingFaceRows(self, held[split], np.arange(len(held[split])))
        return HuggingFaceRows(self, held["train"], _parts(held)[split])

    def example(self, row: dict[str, Any]) -> Example:
        """An example from a row of the data set."""
        xs, asked = _inputs(row[self.inputs])[: self.length], np.asarray(row[self.target])
        count = len(xs)
        if not count:
            raise ValueError(f"{self.inputs} is empty in a row of {self.data}, expected some steps")
        targets = np.full(self.length, IGNORED, np.int64)
        if asked.ndim:
            targets[: min(count, len(asked))] = asked[: self.length][:count]
        else:
            targets[count - 1] = asked
        filled = np.zeros((self.length, *xs.shape[1:]), xs.dtype)
        filled[:count] = xs
        counts = targets != IGNORED
        return episode(filled, np.where(counts, targets, 0), counts)

    def _first(self) -> np.ndarray:
        """The inputs of the first example."""
        return _inputs(self._set()["train"][0][self.inputs])

    def _set(self) -> Value:
        if self.data is None:
            raise ValueError(
                "data is None, expected a data set of Hugging Face (--data on the command line)"
            )
        held = _load(self.data, self.config)
        columns = list(held["train"][0])
        for option, name in (("inputs", self.inputs), ("target", self.target)):
            if name not in columns:
                raise ValueError(
                    f"{option} is {name!r}, expected a column of {self.data}: {', '.join(columns)}"
                )
        return held


@dataclass(frozen=True, eq=False)
class HuggingFaceRows:
    """The rows `indices` (n,) of a data set's split."""

    task: HuggingFace
    rows: Value
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Example:
        check_index(index, len(self))
        return self.task.example(self.rows[int(self.indices[index])])


def _inputs(value: Value) -> np.ndarray:
    """(T,) ints, tokens, or (T, features) floats."""
    if isinstance(value, str):
        return np.frombuffer(value.encode("utf-8"), np.uint8).astype(np.int64) + 1
    array = np.asarray(value)
    if hasattr(value, "getdata"):  # an image of Pillow
        return (
            array.reshape(-1, *array.shape[2:]).reshape(array.shape[0] * array.shape[1], -1) / 255
        )
    if array.ndim == 1 and np.issubdtype(array.dtype, np.integer):
        return array
    return array[:, None] if array.ndim == 1 else array.reshape(len(array), -1)


def _parts(held: Value) -> dict[Split, np.ndarray]:
    """Which rows of train are for which split, where the data set lacks one or two."""
    labels = np.zeros(len(held["train"]), np.int64)
    if "test" not in held and "validation" not in held:
        return three_way(labels, test=10, validation=10)
    rest, held_out = stratified(labels, 10)
    return {"train": rest, "validation": held_out, "test": held_out}


def _greatest(held: Value, column: str) -> int:
    """The greatest whole number in a column of the part that trains."""
    return max(int(np.max(value, initial=0)) for value in held["train"][column])


@functools.lru_cache(maxsize=4)
def _load(data: str, config: str | None) -> Value:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ImportError(
            f"a data set of Hugging Face needs the package datasets: pip install datasets ({error})"
        ) from error
    folder = Path(data).expanduser()
    held = load_dataset(str(folder) if folder.exists() else data, config)
    if "train" not in held:
        raise ValueError(f"data is {data!r}, which has {', '.join(held)}, expected a split train")
    return held
