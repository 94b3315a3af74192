"""Hyperparameters that carry their bounds: one check for models, layers and tasks.

    heads: int = count(4)
    conv_size: int = count(4, least=2)
    dropout: float = number(0.0, least=0, below=1)

`check_fields` refuses what is outside, and a bool, a string or a NaN in the place of a number, by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, field, fields

import numpy as np

from memcore.types import Value


def _bounded(
    default: Value, fits: Callable[[Value], bool], expected: str, optional: bool = False
) -> Value:
    optional = optional or default is None
    expected = f"None or {expected}" if optional else expected
    check = (lambda x: x is None or fits(x)) if optional else fits
    metadata = {"check": (check, expected)}
    return (
        field(metadata=metadata)
        if default is MISSING
        else field(default=default, metadata=metadata)
    )


def is_count(x: object, least: int = 1) -> bool:
    """Whether ``x`` is an int of at least ``least``; a bool is none."""
    return isinstance(x, int | np.integer) and not isinstance(x, bool) and int(x) >= least


def check_count(name: str, value: Value) -> None:
    """Raise ValueError unless ``value`` is a positive int."""
    if not is_count(value):
        raise ValueError(f"{name} is {value!r}, expected a positive int")


def is_number(x: object) -> bool:
    """Whether ``x`` is a finite real number; a bool is none."""
    kinds = int | float | np.integer | np.floating
    return isinstance(x, kinds) and not isinstance(x, bool) and math.isfinite(x)


def count(default: Value = MISSING, *, least: int = 1, optional: bool = False) -> Value:
    """A field for an int of at least ``least``; None is allowed where ``optional`` or the default."""
    expected = "a positive int" if least == 1 else f"an int of at least {least}"
    return _bounded(default, lambda x: is_count(x, least), expected, optional)


def number(
    default: Value = MISSING, *, least: float | None = None, above: float | None = None,
    most: float | None = None, below: float | None = None, optional: bool = False,
) -> Value:  # fmt: skip
    """A field for a number between bounds, each inclusive (``least``, ``most``) or not; None is allowed where
    ``optional`` or the default."""
    words = {"of at least": least, "above": above, "of at most": most, "below": below}
    bounds = " and ".join(f"{word} {bound:g}" for word, bound in words.items() if bound is not None)

    def fits(x: Value) -> bool:
        return (
            is_number(x)
            and (least is None or x >= least)
            and (above is None or x > above)
            and (most is None or x <= most)
            and (below is None or x < below)
        )

    return _bounded(default, fits, f"a number {bounds}".strip(), optional)


def flag(default: Value = MISSING) -> Value:
    """A field for True or False."""
    return _bounded(default, lambda x: isinstance(x, bool | np.bool), "True or False")


def choice(default: Value, *options: str) -> Value:
    """A field for one of some strings; None is allowed where it is the default."""
    listed = [repr(option) for option in options]
    expected = f"{', '.join(listed[:-1])} or {listed[-1]}" if len(listed) > 1 else listed[0]
    return _bounded(default, lambda x: isinstance(x, str) and x in options, expected)


def check_fields(instance: Value) -> None:
    """Raise ValueError for the first field that is outside its bounds."""
    for item in fields(instance):
        if "check" in item.metadata:
            fits, expected = item.metadata["check"]
            value = getattr(instance, item.name)
            if not fits(value):
                raise ValueError(f"{item.name} is {value!r}, expected {expected}")
