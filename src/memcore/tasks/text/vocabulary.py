"""Vocabularies: a text as tokens, and tokens as a text."""

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from memcore.types import Value

UNKNOWN = 0
"""The token of `Characters` for all that it does not know."""
KIND = "memcore"
"""The key that tells memcore's own files of vocabularies from those of Hugging Face."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A text as N tokens, and what may be asked of them.

    `tokens` (N,) int32; `sizes` (N,) int32, the bytes in UTF-8 that each stands for, which add up to those
    of the text; `known` (N,) bool, false for what the vocabulary cannot say.
    """

    tokens: np.ndarray
    sizes: np.ndarray
    known: np.ndarray


class Vocabulary(Protocol):
    """Which text a token stands for."""

    @property
    def names(self) -> tuple[str, ...]:
        """What pictures write for the tokens."""
        ...

    def __len__(self) -> int: ...

    def __hash__(self) -> int: ...

    def encode(self, text: str) -> Encoded:
        """A text as tokens; bytes that were no UTF-8 stand in it as Python's surrogates."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; U+FFFD for bytes that are no character."""
        ...

    def to_json(self) -> str:
        """The content of a file that `read` reads."""
        ...


@dataclass(frozen=True, eq=False)
class Characters:
    """Token i + 1 is character i of a string in the order of code points; token 0 is all others."""

    characters: str

    @classmethod
    def of(cls, text: str) -> "Characters":
        """The characters of a text."""
        return cls("".join(map(chr, np.unique(_codes(text)).tolist())))

    def __len__(self) -> int:
        return 1 + len(self.characters)

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        return ("?", *map(visible, self.characters))

    def encode(self, text: str) -> Encoded:
        own, codes = _codes(self.characters), _codes(text)
        known = np.isin(codes, own)
        tokens = np.where(known, np.searchsorted(own, codes) + 1, UNKNOWN).astype(np.int32)
        sizes = 1 + np.searchsorted([0x80, 0x800, 0x10000], codes, side="right").astype(np.int32)
        return Encoded(tokens, sizes, known)

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(self.characters[token - 1] if token else "?" for token in tokens)

    def to_json(self) -> str:
        return json.dumps({KIND: "characters", "characters": self.characters}) + "\n"


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


@dataclass(frozen=True, eq=False)
class Bytes:
    """The 256 bytes, of any file."""

    def __len__(self) -> int:
        return 256

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(visible(chr(byte)) if byte < 128 else f"{byte:x}" for byte in range(256))

    def encode(self, text: str) -> Encoded:
        tokens = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8).astype(np.int32)
        return Encoded(tokens, np.ones_like(tokens), np.ones(len(tokens), bool))

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode("utf-8", "replace")

    def to_json(self) -> str:
        return json.dumps({KIND: "bytes"}) + "\n"


class Tokenizer:
    """A tokenizer of Hugging Face, from the JSON of its file.

    What the file says of cutting texts off and filling them up is for batches, and does not count.

    Raises ValueError where it is none, ImportError where the package `tokenizers` is missing.
    """

    def __init__(self, content: str) -> None:
        try:
            import tokenizers
        except ImportError as error:
            raise ImportError(
                f'a tokenizer of Hugging Face needs tokenizers: install the extra "text" ({error})'
            ) from error
        try:
            self._inner = tokenizers.Tokenizer.from_str(content)
        except Exception as error:  # the package has no class of its own for them
            raise ValueError(f"it is no tokenizer of Hugging Face: {error}") from error
        self._inner.no_truncation()
        self._inner.no_padding()
        self._content, self._unknown = content, self._token_of_unknown(json.loads(content)["model"])
        # Not the size of the vocabulary, whose numbers may have gaps.
        self._size = 1 + max(self._inner.get_vocab().values(), default=0)

    def _token_of_unknown(self, model: dict[str, Value]) -> Value:
        """The token for all that it does not know; None where it has none."""
        name = model.get("unk_token")
        return model.get("unk_id") if name is None else self._inner.token_to_id(name)

    def __len__(self) -> int:
        return self._size

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(str(self._inner.id_to_token(token)) for token in range(len(self)))

    def encode(self, text: str) -> Encoded:
        found = self._inner.encode(text, add_special_tokens=False)
        tokens = np.array(found.ids, np.int32)
        # What lies between two tokens, as white space may, belongs to the later one.
        places = np.concatenate([[0], np.cumsum([len(c.encode("utf-8")) for c in text])])
        ends = np.maximum.accumulate([0, *(end for _, end in found.offsets)])
        sizes = np.diff(places[ends]).astype(np.int32)
        if len(sizes):
            sizes[-1] += places[-1] - places[ends[-1]]
        known = np.ones(len(tokens), bool) if self._unknown is None else tokens != self._unknown
        return Encoded(tokens, sizes, known)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._inner.decode(list(tokens), skip_special_tokens=False))

    def to_json(self) -> str:
        return self._content


@functools.lru_cache(maxsize=4)
def read(path: Path, changed: int) -> Vocabulary:
    """The vocabulary in a file; `changed`, when it was last written, tells one content from another.

    Raises ValueError naming the file where it holds none.
    """
    try:
        content = path.read_text(encoding="utf-8")
        return of_json(content)
    except ValueError as error:  # of which broken UTF-8 and JSON are kinds
        raise ValueError(f"tokenizer {path} holds no vocabulary: {error}") from error


def of_json(content: str) -> Vocabulary:
    """The vocabulary that `to_json` wrote, or a tokenizer of Hugging Face; ValueError where it is none."""
    values: Value = json.loads(content)
    if not isinstance(values, dict) or KIND not in values:
        return Tokenizer(content)
    if values[KIND] == "bytes":
        return Bytes()
    characters = values.get("characters")
    if values[KIND] != "characters" or not isinstance(characters, str):
        raise ValueError(f"{KIND} is {values[KIND]!r}, expected 'bytes', or 'characters' and them")
    if list(characters) != sorted(set(characters)):
        raise ValueError("characters are not each once, in the order of their code points")
    return Characters(characters)


def visible(character: str) -> str:
    """A character as one sees it; a code point where there is nothing to see."""
    shown = {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(character, character)
    return shown if shown.isprintable() else f"{ord(character):x}"


PARTS = 4
"""A character has at most so many bytes, hence tokens."""
MANY = 8 * PARTS
"""Tokens that are looked at again, where one is broken behind the other."""


def as_they_come(
    vocabulary: Vocabulary, tokens: Iterable[int], before: Sequence[int] = ()
) -> Iterator[str]:
    """The text of tokens that follow others, piece by piece; an open character waits for its other tokens."""
    # With the piece before: tokenizers write a word's token otherwise at the beginning of a text.
    behind, piece = list(before), list[int]()
    said = len(vocabulary.decode(behind))
    for token in tokens:
        piece.append(token)
        text = vocabulary.decode(behind + piece)
        waits = len(text) - max(said, len(text.rstrip("\ufffd")))
        if waits and len(piece) < PARTS:
            continue
        waits = min(waits, PARTS - 1)
        yield text[said : len(text) - waits]
        said = len(text) - waits
        if not waits or len(piece) == MANY:
            behind, piece = piece, []
            said = max(0, len(vocabulary.decode(behind)) - waits)
    if rest := vocabulary.decode(behind + piece)[said:]:
        yield rest
