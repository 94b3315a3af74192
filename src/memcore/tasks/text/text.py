"""A text, token by token."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.generated import episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example, Split, TaskDefaults, check_index, check_split
from memcore.tasks.text import vocabulary as vocabularies
from memcore.tasks.text.vocabulary import Characters, Encoded, Vocabulary

Part = tuple[int, int]

TWENTIETHS: dict[Split, Part] = {"train": (0, 18), "validation": (18, 19), "test": (19, 20)}
"""Where each split begins and ends, in twentieths of the text."""
APART: dict[Split, Part] = {"train": (0, 20), "validation": (0, 10), "test": (10, 20)}
"""The same where what is held out is a file of its own."""
BYTES = vocabularies.Bytes()


@register("text")
@dataclass(frozen=True)
class Text(TaskDefaults):
    """Name the next token of a text file at every step.

    The first 90% of the text train, then come 5% for validation and 5% for the test; with
    `validation_data` all of the text trains, and the first half of the other one is for validation, the
    second for the test. Each split is cut into rows that do not overlap. A rest that fills no row is left
    out of what trains, and counts in what is held out.

    The metric is the cross-entropy in bits, over the bytes in UTF-8 of what was asked for, so that it can be
    compared between vocabularies. The vocabulary is the characters of the part that trains, in the order
    of their code points, from 1 on: token 0 stands for all others, is never asked for and does not count.
    Or it is the 256 bytes, or that of a tokenizer of Hugging Face, whose token for what it does not know is
    not asked for either. A run's folder keeps it.
    """

    asks: ClassVar[str] = "the next token"
    tokens: ClassVar[bool] = True
    metric: ClassVar[str] = "bits_per_byte"
    keeps: ClassVar[tuple[str, ...]] = ("tokenizer",)

    path: str | None = None
    """Another name of `data`."""
    length: int = 64
    """Steps of a row."""
    data: str | None = None
    """The text file; in UTF-8, unless the tokens are bytes."""
    validation_data: str | None = None
    """A text file of what is held out."""
    tokenizer: str = "characters"
    """What the tokens are: `characters`, `bytes`, or the file of a tokenizer of Hugging Face."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 1)
        if self.path is not None and self.data is not None:
            raise ValueError(f"path is {self.path!r}, expected none beside data, {self.data!r}")

    def resolved(self) -> "Text":
        """The same task, which reads the same files wherever it is run again."""
        files = {name: getattr(self, name) for name in ("path", "data", "validation_data")}
        if self.tokenizer not in ("characters", "bytes"):
            files["tokenizer"] = self.tokenizer
        absolute = {name: str(_here(file)) for name, file in files.items() if file is not None}
        return replace(self, **absolute)  # type: ignore[arg-type]

    @property
    def title(self) -> str:
        """The name, and of which file."""
        file = self.data or self.path
        return f"{self.name} ({Path(file).name})" if file else self.name

    @property
    def vocabulary(self) -> Vocabulary:
        """Which text a token stands for; raises as `source` does where it is that of the text."""
        if self.tokenizer == "bytes":
            return BYTES
        if self.tokenizer == "characters":
            return _characters(*self._file("train"), self._parts["train"])
        path = _here(self.tokenizer)
        if not path.is_file():
            raise FileNotFoundError(
                f"tokenizer is {self.tokenizer}, expected characters, bytes, or a file, and there is none"
            )
        return vocabularies.read(path, path.stat().st_mtime_ns)

    def kept(self, option: str) -> str:
        """The vocabulary as a file that the option `tokenizer` can name."""
        return self.vocabulary.to_json()

    @property
    def in_features(self) -> int:
        """The size of the vocabulary."""
        return len(self.vocabulary)

    @property
    def out_features(self) -> int:
        return self.in_features

    @property
    def input_names(self) -> tuple[str, ...]:
        return self.vocabulary.names

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.vocabulary.names

    def source(self, split: Split) -> "TextRows":
        """The rows of one split.

        Raises ValueError where no file is given, it is not UTF-8, or a split is too short for one row;
        FileNotFoundError where there is no such file.
        """
        check_split(split)
        path, changed = self._file(split)
        text = _encoded(path, changed, self._parts[split], self.vocabulary)
        if len(text.tokens) <= self.length:
            unit = "characters" if isinstance(self.vocabulary, Characters) else "tokens"
            if not len(text.tokens):
                raise ValueError(f"{path} has no {unit} for the {split} split, expected at least 2")
            raise ValueError(
                f"length is {self.length}, expected below {len(text.tokens)}, the {unit} of the {split} "
                f"split of {path}"
            )
        return TextRows(text, self.length, whole=split == "train")

    @property
    def _parts(self) -> dict[Split, Part]:
        return TWENTIETHS if self.validation_data is None else APART

    def _file(self, split: Split) -> tuple[Path, int]:
        """The file that has a split, and when it was last written."""
        name = "path" if self.path is not None else "data"
        if split != "train" and self.validation_data is not None:
            name = "validation_data"
        given = getattr(self, name)
        if given is None:
            raise ValueError("data is None, expected a text file (--data on the command line)")
        path = _here(given)
        if not path.is_file():
            raise FileNotFoundError(f"{name} is {given}, where there is no file")
        return path, path.stat().st_mtime_ns


def _here(file: str) -> Path:
    return Path(file).expanduser().absolute()


@functools.lru_cache(maxsize=4)
def _characters(path: Path, changed: int, part: Part) -> Characters:
    """The characters of a part of a file; `changed` tells one content of it from another."""
    return Characters.of(_part(path, part, "strict"))


@functools.lru_cache(maxsize=8)
def _encoded(path: Path, changed: int, part: Part, vocabulary: Vocabulary) -> Encoded:
    """A part of a file as tokens; `changed` tells one content of it from another."""
    return vocabulary.encode(
        _part(path, part, "surrogateescape" if vocabulary is BYTES else "strict")
    )


def _part(path: Path, part: Part, errors: str) -> str:
    """The text of a file from one twentieth to another; its bytes, unlike Python's lines, as they are."""
    try:
        text = path.read_bytes().decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8 (its bytes can be read: --task-options.tokenizer bytes): {error}"
        ) from error
    first, last = (len(text) * twentieth // 20 for twentieth in part)
    return text[first:last]


@dataclass(frozen=True, eq=False)
class TextRows:
    """Rows of `length` tokens, one behind the other; targets are the tokens one step on.

    Of a `whole` number of rows; otherwise the last is filled up with steps that do not count.
    """

    text: Encoded
    length: int
    whole: bool

    def __len__(self) -> int:
        steps = len(self.text.tokens) - 1
        return steps // self.length if self.whole else -(-steps // self.length)

    def __getitem__(self, index: int, /) -> Example:
        check_index(index, len(self))
        first = int(index) * self.length
        tokens, sizes, known = (
            self._row(values, first)
            for values in (self.text.tokens, self.text.sizes, self.text.known)
        )
        row = episode(tokens[:-1], tokens[1:], known[1:])
        return {**row, "bytes": sizes[1:].astype(np.float32)}

    def _row(self, values: np.ndarray, first: int) -> np.ndarray:
        """The values of a row and the one behind it, with zeros behind the text's end."""
        row = values[first : first + self.length + 1]
        return np.concatenate([row, np.zeros(self.length + 1 - len(row), values.dtype)])
