"""What a task is: fixed splits of examples in one uniform format."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Protocol, get_args

import numpy as np

from memcore.tasks.base.checks import at_least, check_types
from memcore.types import Value

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Loss = Literal["cross_entropy", "squared_hinge", "mse", "pose"]

Example = dict[str, np.ndarray]

IGNORED = -100
"""A class that is not asked for, whatever the step's weight; the number that torch and Hugging Face use."""


class Source(Protocol):
    """Random access to the examples of one split, as grain's `RandomAccessDataSource`.

    An example is one row of a batch: `xs` (T, in_features) float32 or (T,) int32, `starts` (T,)
    bool, `targets` (T,) int32 or (T, out_features) float32 as the task's loss says, `weights`
    (T,) float32, and where the metric is `bits_per_byte` also `bytes` (T,) float32, those that the target
    stands for. Asking twice for one index gives equal examples; an index outside the split
    raises IndexError.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...


class Task(Protocol):
    """A task: a frozen dataclass whose fields are its options, all with defaults.

    `name` is its name in `memcore.tasks.tasks`, `title` what tables and pictures call it: the name, and
    which data it reads where that is not the task's alone to say. `loss` says what its targets are:

    - `cross_entropy`, `squared_hinge`: classes below `out_features`, (T,) int32; -100 asks for nothing
    - `mse`: numbers, (T, out_features) float32
    - `pose`: an orientation and a position, (T, 9) float32; see `memcore.tasks.signals.pose`

    `metric` is what its evaluation reports. Its inputs are `in_features` wide, or tokens below
    `in_features` where `tokens` is true; its rows have `length` steps. Whatever is not an option
    stands in `TaskDefaults`, from which a task may inherit.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def loss(self) -> str: ...

    @property
    def metric(self) -> str: ...

    @property
    def in_features(self) -> int: ...

    @property
    def out_features(self) -> int: ...

    @property
    def length(self) -> int: ...

    @property
    def tokens(self) -> bool: ...

    def source(self, split: Split) -> Source:
        """The examples of one split; the three splits have no example in common.

        Raises ValueError for an unknown split, FileNotFoundError where files are missing.
        """
        ...

    def resolved(self) -> Value:
        """The same task with all that the surroundings decide (folders, variables) written out."""
        ...

    def segments(self, split: Split, index: int, size: int) -> Iterator[Example]:
        """Example `index` of a split in consecutive segments of at most `size` steps.

        One behind the other they are the example: a start stands only where an episode begins.
        Where `source(split)[index]` would be too large, the memory is that of a segment.

        Raises ValueError for a `size` below 1, IndexError for an index outside the split.
        """
        ...


class TaskDefaults:
    """What most tasks have in common.

    A subclass that has more to demand of its options calls this class's `__post_init__` first.
    """

    def __post_init__(self) -> None:
        check_types(self)

    def resolved(self) -> Value:
        """The same task with all that the surroundings decide (folders, variables) written out."""
        return self

    @property
    def title(self) -> str:
        """What tables and pictures call the task."""
        return self.name

    name: ClassVar[str]
    loss: ClassVar[str] = "cross_entropy"
    metric: ClassVar[str] = "accuracy"

    asks: ClassVar[str] = ""
    """What is asked, in a few words; pictures say it."""

    keeps: ClassVar[tuple[str, ...]] = ()
    """Options that name a file without which the model cannot be used. A run's folder has each of them as
    OPTION.json, whose content is `kept(option)`, and they are read there."""

    def kept(self, option: str) -> str:
        """The content of a file that an option of `keeps` can name."""
        raise NotImplementedError

    @property
    def input_names(self) -> tuple[str, ...]:
        """What pictures write for the tokens, or call the features; () for their numbers."""
        return ()

    @property
    def output_names(self) -> tuple[str, ...]:
        """What pictures write for the classes, or call the outputs; () for their numbers."""
        return ()

    def source(self, split: Split) -> Source:
        """The examples of one split; see `Task.source`."""
        raise NotImplementedError

    def segments(self, split: Split, index: int, size: int) -> Iterator[Example]:
        """Example `index` in segments of at most `size` steps; see `Task.segments`."""
        check_size(size)
        return cut(self.source(split)[index], size)


def cut(example: Example, size: int) -> Iterator[Example]:
    """The example in consecutive segments of `size` steps; the last may be shorter."""
    for first in range(0, len(example["starts"]), size):
        yield {key: value[first : first + size] for key, value in example.items()}


def check_split(split: str) -> None:
    """Raise ValueError unless `split` is one of `SPLITS`."""
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, expected one of {', '.join(SPLITS)}")


def check_index(index: int, length: int) -> None:
    """Raise IndexError unless `index` is one of a split's `length` examples."""
    if not 0 <= index < length:
        raise IndexError(f"index is {index}, expected 0 to {length - 1}")


def check_size(size: int) -> None:
    """Raise ValueError unless a segment can have `size` steps."""
    at_least("size of a segment", size, 1)


def check_parts(batch_size: int, count: int) -> None:
    """Raise ValueError unless `count` processes can have equally many rows of a batch."""
    if batch_size % count:
        raise ValueError(
            f"batch_size is {batch_size}, expected a multiple of the {count} processes that share it"
        )
