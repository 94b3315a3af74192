"""Characters of a text, one after another."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.generated import episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example, Split, TaskDefaults, check_index, check_split

UNKNOWN = 0
TWENTIETHS: dict[Split, tuple[int, int]] = {
    "train": (0, 18),
    "validation": (18, 19),
    "test": (19, 20),
}
"""Where each split begins and ends, in twentieths of the text."""


@register("text")
@dataclass(frozen=True)
class Text(TaskDefaults):
    """Name the next character of a text file, in UTF-8, at every step.

    The first 90% of the text train, then come 5% for validation and 5% for the test, each cut
    into rows that do not overlap; a rest that fills no row is left out. The vocabulary is the
    characters of the part that trains, in the order of their code points, from 1 on; token 0
    stands for all others, is never asked for and does not count.
    """

    asks: ClassVar[str] = "the next character"
    tokens: ClassVar[bool] = True

    path: str | None = None
    """The text file."""
    length: int = 64
    """Steps of a row."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 1)

    def resolved(self) -> "Text":
        """The same task, which reads the same file wherever it is run again."""
        return replace(self, path=self.path and str(Path(self.path).expanduser().absolute()))

    @property
    def in_features(self) -> int:
        """1 more than the vocabulary; reads the file and raises what `source` does."""
        return 1 + len(self._corpus().vocabulary)

    @property
    def out_features(self) -> int:
        return self.in_features

    @property
    def input_names(self) -> tuple[str, ...]:
        return ("?", *map(visible, self._corpus().vocabulary))

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.input_names

    def source(self, split: Split) -> "TextRows":
        """The rows of one split.

        Raises ValueError where no path is given, the file is not UTF-8, or a split is too short
        for one row; FileNotFoundError where there is no such file.
        """
        check_split(split)
        corpus = self._corpus()
        first, last = (len(corpus.tokens) * part // 20 for part in TWENTIETHS[split])
        tokens = corpus.tokens[first:last]
        if len(tokens) <= self.length:
            raise ValueError(
                f"length is {self.length}, expected below {len(tokens)}, the characters of the "
                f"{split} split of {self.path}"
            )
        return TextRows(tokens, self.length)

    def _corpus(self) -> "Corpus":
        if self.path is None:
            raise ValueError(
                "path is None, expected a text file (--task-options.path on the command line)"
            )
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"path is {self.path}, where there is no file")
        return _read(path, path.stat().st_mtime_ns)


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as tokens (N,) int32, and its vocabulary: token i + 1 is character i of it."""

    tokens: np.ndarray
    vocabulary: str


@functools.lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Corpus:
    """The text in a file; `changed`, when it was last written, tells one content from another."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}") from error
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    vocabulary = np.unique(codes[: len(codes) * TWENTIETHS["train"][1] // 20])
    places = np.searchsorted(vocabulary, codes)
    known = np.isin(codes, vocabulary)
    tokens = np.where(known, places + 1, UNKNOWN).astype(np.int32)
    return Corpus(tokens, "".join(map(chr, vocabulary.tolist())))


def visible(character: str) -> str:
    """A character as one sees it; a code point where there is nothing to see."""
    shown = {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(character, character)
    return shown if shown.isprintable() else f"{ord(character):x}"


@dataclass(frozen=True, eq=False)
class TextRows:
    """Rows of `length` tokens, one behind the other; targets are the tokens one step on."""

    tokens: np.ndarray
    length: int

    def __len__(self) -> int:
        return (len(self.tokens) - 1) // self.length

    def __getitem__(self, index: int, /) -> Example:
        check_index(index, len(self))
        first = int(index) * self.length
        row = self.tokens[first : first + self.length + 1]
        return episode(row[:-1], row[1:], row[1:] != UNKNOWN)
