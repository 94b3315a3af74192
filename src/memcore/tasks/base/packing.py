"""Several examples of a task one behind the other in a row, for any task."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from memcore.tasks.base.checks import at_least, check_types
from memcore.tasks.base.task import Example, Source, Split, Task, check_index, check_size


@dataclass(frozen=True)
class Packed:
    """`task` with `pack` of its examples in every row, each beginning with a start.

    Row i holds the examples i * pack to (i + 1) * pack - 1 of the split; what is left over at the
    split's end is left out. All else is the task's own. `memcore.tasks.make` builds it from the
    option `pack`, which every task has.
    """

    task: Task
    pack: int

    def __post_init__(self) -> None:
        if isinstance(self.task, Packed):
            raise ValueError(
                f"task is packed already, {self.task.pack} in a row: expected one that is not"
            )
        check_types(self)
        at_least("pack", self.pack, 1)

    def resolved(self) -> "Packed":
        return Packed(self.task.resolved(), self.pack)

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def title(self) -> str:
        return self.task.title

    @property
    def loss(self) -> str:
        return self.task.loss

    @property
    def metric(self) -> str:
        return self.task.metric

    @property
    def tokens(self) -> bool:
        return self.task.tokens

    @property
    def in_features(self) -> int:
        return self.task.in_features

    @property
    def out_features(self) -> int:
        return self.task.out_features

    @property
    def length(self) -> int:
        return self.pack * self.task.length

    def source(self, split: Split) -> "PackedRows":
        """The rows of one split; ValueError where the split has fewer than `pack` examples."""
        source = self.task.source(split)
        if self.pack > len(source):
            raise ValueError(
                f"pack is {self.pack}, expected 1 to {len(source)}, the size of the {split} split "
                f"of {self.name}"
            )
        return PackedRows(source, self.pack)

    def segments(self, split: Split, index: int, size: int) -> Iterator[Example]:
        """Row `index` in segments; none reaches across the end of an example."""
        check_size(size)
        check_index(index, len(self.source(split)))
        examples = range(index * self.pack, (index + 1) * self.pack)
        return chain.from_iterable(self.task.segments(split, i, size) for i in examples)


@dataclass(frozen=True, eq=False)
class PackedRows:
    """The examples of `source`, `pack` of them in a row."""

    source: Source
    pack: int

    def __len__(self) -> int:
        return len(self.source) // self.pack

    def __getitem__(self, index: int, /) -> Example:
        check_index(index, len(self))
        first = index * self.pack
        return joined([self.source[i] for i in range(first, first + self.pack)])


def joined(examples: list[Example]) -> Example:
    """Examples, or the segments of one, as one row."""
    return {key: np.concatenate([one[key] for one in examples]) for key in examples[0]}
