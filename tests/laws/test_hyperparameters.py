"""What the fields of models refuse, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import cases.models
from memcore.registry import alone

WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    **{
        f"{name} {value!r}": (lambda cls=cls, value=value: cls(value), f"^in_features is {value!r}")
        for name, cls in alone().items()
        for value in (0, -3, 8.0, "8", None, True)
    },
    **cases.models.WRONG,
}


@pytest.mark.parametrize("name", WRONG)
def test_hyperparameters(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
