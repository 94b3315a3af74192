"""`none` on the command line, which tyro knows as `None` alone."""

import dataclasses
from collections.abc import Sequence

from memcore.train.commands.models import optional
from memcore.types import Value


def may_be_none(kind: type) -> set[str]:
    """The options of a class, those of the dataclasses in it too, that may be None."""
    found = {f"--{name}" for name in _optional(kind)}
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.type):
            found |= {f"--{field.name}.{name}" for name in _optional(field.type)}
    return {name.replace("_", "-") for name in found}


def _optional(kind: Value) -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if optional(kind, field.name)]


def with_none(arguments: Sequence[str], options: set[str]) -> list[str]:
    """The arguments, with `none` as tyro's `None` behind these options."""
    known, before = [], ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and value == "none" and name.replace("_", "-") in options:
            argument = f"{name}=None"
        elif argument == "none" and before.replace("_", "-") in options:
            argument = "None"
        known.append(argument)
        before = argument
    return known
