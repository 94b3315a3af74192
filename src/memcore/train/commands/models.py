"""Models as they are written on the command line: `gru`, `gru:hidden_size=32`, `5*lru,attention:window=64`.

    MODEL  = PART{,PART}                         layer i of a stack takes part i, and again from the first
    PART   = [COUNT*]NAME[:FIELD=VALUE{,FIELD=VALUE}]

A piece between commas that holds = and no name before it belongs to the part before.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from memcore.cell import Model
from memcore.registry import lookup

WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Part:
    """`count` layers of the model `name`, with fields."""

    count: int
    name: str
    fields: tuple[tuple[str, Any], ...]

    def build(self, width: int) -> tuple[Model, ...]:
        """The models of the layers, whose `in_features` is `width`."""
        return self.count * (lookup(self.name)(width, **dict(self.fields)),)


def plain(text: str) -> bool:
    """Whether this is one model's name, without anything else."""
    return not set(text) & set(",:*=")


def parts(text: str) -> tuple[Part, ...]:
    """What a text names.

    Raises ValueError for a name that is not registered, a field that the model does not have, or a count
    that is no number above 0.
    """
    pieces: list[str] = []
    for piece in text.split(","):
        if pieces and "=" in piece and ":" not in piece:
            pieces[-1] += f",{piece}"
        else:
            pieces.append(piece)
    return tuple(map(_part, pieces))


def models(text: str, width: int) -> Model | tuple[Model, ...]:
    """The models that a text names, one for each layer, of inputs `width` wide; one alone as itself."""
    built = tuple(model for part in parts(text) for model in part.build(width))
    return built[0] if len(built) == 1 else built


def _part(piece: str) -> Part:
    head, _, fields = piece.partition(":")
    count, times, name = head.rpartition("*")
    name = name.strip()
    if times and not (count.strip().isdigit() and int(count) > 0):
        raise ValueError(f"model has {head!r}, expected a number above 0 before the *, as in 5*lru")
    known = [f.name for f in dataclasses.fields(lookup(name)) if f.name != "in_features"]
    pairs = [_pair(name, pair, known) for pair in fields.split(",") if fields]
    return Part(int(count or 1), name, tuple(pairs))


def _pair(name: str, text: str, known: list[str]) -> tuple[str, Any]:
    field, equals, value = (word.strip() for word in text.partition("="))
    field = field.replace("-", "_")
    if not equals or field not in known:
        raise ValueError(
            f"model has {text!r} for {name}, expected FIELD=VALUE with one of {', '.join(known)}"
        )
    if value.lower() in WORDS:
        return field, WORDS[value.lower()]
    try:
        return field, json.loads(value)
    except json.JSONDecodeError:
        return field, value
