"""What a task is: fixed splits of examples in one uniform format."""

from typing import Any, ClassVar, Literal, Protocol, get_args

import numpy as np

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Example = dict[str, np.ndarray]


class Source(Protocol):
    """Random access to the examples of one split, as grain's `RandomAccessDataSource`.

    An example is one row of a batch: `xs` (T, in_features) float32 or (T,) int32, `starts` (T,)
    bool, `targets` (T,) int32, `weights` (T,) float32. Asking twice for one index gives equal
    examples; an index outside the split raises IndexError.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...


class Task(Protocol):
    """A task: a frozen dataclass whose fields are its options, all with defaults.

    `name` is its name in `memcore.tasks.tasks`, `metric` what its evaluation reports. Its inputs
    are `in_features` wide, or tokens below `in_features` where `tokens` is true; its targets are
    classes below `out_features`; its rows have `length` steps.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]

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


def check_split(split: str) -> None:
    """Raise ValueError unless `split` is one of `SPLITS`."""
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, expected one of {', '.join(SPLITS)}")


def check_index(index: int, length: int) -> None:
    """Raise IndexError unless `index` is one of a split's `length` examples."""
    if not 0 <= index < length:
        raise IndexError(f"index is {index}, expected 0 to {length - 1}")
