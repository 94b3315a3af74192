"""Options that are not what they should be: errors that name the option, what came and what was expected."""

from dataclasses import fields
from numbers import Integral, Real
from os import PathLike
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from memcore.types import Value

KINDS: dict[Value, tuple[Value, str]] = {
    int: (Integral, "an integer"),
    float: (Real, "a number"),
    bool: (bool | np.bool, "True or False"),
    str: (str | PathLike, "a string"),
    NoneType: (NoneType, "None"),
}
"""What a value of an option may be, by the option's type, and how that is called; others: anything."""


SEEDS = 2**32 - 1
"""The largest seed of a run: NumPy's and JAX's generators take numbers of 32 bits."""


def check_types(task: Value) -> None:
    """Raise ValueError where a value of an option is not of the option's type."""
    hints = get_type_hints(type(task))
    for name in (field.name for field in fields(task)):
        value, hint = getattr(task, name), hints[name]
        kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        words = [_kind(value, kind) for kind in kinds]
        if None not in words:
            raise ValueError(f"{name} is {value!r}, expected {' or '.join(map(str, words))}")


def _kind(value: object, kind: object) -> str | None:
    """None where a value is of a type, else how the type is called."""
    if get_origin(kind) is Literal:
        return None if value in get_args(kind) else f"one of {', '.join(get_args(kind))}"
    allowed, name = KINDS.get(kind, (object, ""))
    flag = isinstance(value, bool | np.bool) and kind is not bool
    return None if isinstance(value, allowed) and not flag else name


def at_least(name: str, value: float, least: float) -> None:
    """Raise ValueError unless the option `name` is `least` or more."""
    if not value >= least:  # so that NaN is refused too
        raise ValueError(f"{name} is {value}, expected {least} or more")


def within(name: str, value: float, least: float, most: float, why: str) -> None:
    """Raise ValueError unless the option `name` is from `least` to `most`, which is `why`."""
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}, expected {least} to {most}, {why}")
