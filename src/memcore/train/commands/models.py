"""Models on the command line: `name:field=value,field=value`."""

import json
import re
from dataclasses import fields
from types import NoneType
from typing import Any, get_args, get_type_hints

from memcore.cell import Model
from memcore.registry import alone, lookup
from memcore.tasks.base.checks import check_types
from memcore.types import Value

SIZES = {"hidden_size", "state_size"}
"""Widths of a vector state, which are the width of the stack where nothing else is said."""

COMMA = re.compile(r",(?![^\[]*\])")
"""A comma that stands in no list."""

WORDS = {"True": True, "False": False, "None": None}
"""Python's words beside JSON's."""


def split(text: str) -> list[str]:
    """The models of a list with commas; a field with no name before it is the model's before it."""
    models: list[str] = []
    for part in COMMA.split(text):
        if models and "=" in part.split(":")[0]:
            models[-1] += f",{part.strip()}"
        else:
            models.append(part.strip())
    return models


def normal(text: str) -> str:
    """A model's text with commas between its fields, where colons may stand as well."""
    name, colon, rest = text.partition(":")
    return name + colon + rest.replace(":", ",")


def chosen(text: str, option: str = "model") -> tuple[type[Model], dict[str, Any]]:
    """A model's class and fields from its text, the values as JSON or as text.

    Raises ValueError naming the `option` for a name that is not registered, a model that is made of others,
    or a field that the model does not have.
    """
    if not text.strip():
        raise ValueError(f"{option} has an empty name, expected one, as lru")
    if "*" in text:
        raise ValueError(
            f"{option} is {text!r}, expected one model: numbers before a * are those of the layers of one "
            "stack (memcore train --model)"
        )
    name, *rest = normal(text).split(":")
    cls, found = lookup(name), {}
    if name not in alone():
        raise ValueError(
            f"{option} is {name!r}, which is made of other models: expected one of {', '.join(alone())}"
        )
    for pair in COMMA.split(rest[0]) if rest else []:
        field, equals, value = pair.partition("=")
        field = field.strip().replace("-", "_")
        if not equals or field not in options(cls):
            known = ", ".join(options(cls))
            raise ValueError(
                f"{option} has {pair!r} for {name}, expected FIELD=VALUE with one of {known}"
            )
        found[field] = _value(value.strip(), optional(cls, field))
    return cls, found


def built(text: str, width: int, option: str = "model") -> Model:
    """The model of a text for inputs of this width.

    Raises ValueError naming the model for fields that make no sense.
    """
    cls, given = chosen(text, option)
    try:
        model = cls(width, **{**sizes(cls, width), **given})
        check_types(model)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{text}: {error}") from error
    return model


def sizes(cls: type[Model], width: int) -> dict[str, int]:
    """The fields of a model that are the width of the stack where nothing else is said."""
    return {name: width for name in options(cls) if name in SIZES}


def options(cls: type[Model]) -> list[str]:
    """The fields of a model that can be said: all but the width of its inputs, and models within."""
    known = [field for field in fields(cls) if not isinstance(field.default, Model)]
    return [field.name for field in known if field.name != "in_features"]


def optional(cls: type, field: str) -> bool:
    """Whether a field may be None."""
    return NoneType in get_args(get_type_hints(cls)[field])


def _value(text: str, optional: bool) -> Value:
    if optional and text == "none":
        return None
    if text in WORDS:
        return WORDS[text]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
