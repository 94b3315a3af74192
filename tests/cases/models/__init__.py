"""One file per registered model, by family as in memcore.models: its instances and its reference.

A file has ``CASES``, the instances that obey the laws, and may have ``SHAPES``, instances of other
widths that are compared with the reference only, and ``WRONG``, what its fields refuse:
``{name: (call, message)}``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import memcore
from cases import walk
from cases.models.base import ModelCase as ModelCase

_FILES = walk(__name__, list(__path__))

CASES: dict[str, ModelCase] = {
    case.name: case for file in _FILES for case in getattr(file, "CASES", ())
}
MODELS: dict[str, memcore.Model] = {name: case.model for name, case in CASES.items()}
ON_JAX = [name for name, case in CASES.items() if case.on_jax]
"""The instances that are compiled: at least one of every model."""
ONE_PER_RULE = (
    "gru",
    "lru",
    "linear_attention",
    "gated_delta_net",
    "attention",
    "s6",
    "ttt_linear",
)
"""Models whose methods are all looked at where compiling those of every model takes too long."""
EVERY_METHOD = (*ONE_PER_RULE, "spherical", "n_max", "dlse")
"""Models that are compiled by all their methods: one for each rule, and those whose algebra is their own."""
SAME_PARTS = ("titans_mac", "titans_mal", "rmt_both_ways")
"""Of the same parts as another model (`titans_mag`, `rmt`), whose gradients and placement are looked at."""
SHAPES: dict[str, ModelCase] = {
    case.name: case for file in _FILES for case in getattr(file, "SHAPES", ())
}
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    f"{file.__name__.rpartition('.')[-1]} {name}": wrong
    for file in _FILES
    for name, wrong in getattr(file, "WRONG", {}).items()
}
