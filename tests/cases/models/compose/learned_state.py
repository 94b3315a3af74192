"""A model whose initial state is a parameter, by its own reference."""

from __future__ import annotations

from typing import Any

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.gated.gru import gru
from cases.models.reference import by_sequence


def _sequence(params: Any, xs: Any) -> Any:
    return gru(params["model"], xs, None, params["initial"][""])[1]


CASES = [
    ModelCase(
        "learned_state",
        memcore.LearnedState(memcore.GRU(4, hidden_size=3)),
        lambda p, x, s: by_sequence(_sequence, p, x, s),
        NOT_ASSOCIATIVE,
    ),
]
