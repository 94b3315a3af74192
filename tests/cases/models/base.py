"""What a case of a model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import memcore

Reference = Callable[[Any, Any, Any], Any]
"""``(params, xs, starts) -> ys`` of one sequence, in float64."""

NOT_ASSOCIATIVE = dict.fromkeys(
    ("associativity", "action", "step"), "it has no elements that combine: a step needs its state"
)


@dataclass(frozen=True)
class ModelCase:
    """A small instance of a registered model.

    The name begins with the registered one; ``without`` says of a law that cannot hold why not. On
    JAX an instance with ``on_jax=False`` is only compared with NumPy, where it obeys all laws: what
    it varies is not the engine. ``given`` names parameters that no seed decides, though their numbers differ.
    """

    name: str
    model: memcore.Model
    reference: Reference
    without: Mapping[str, str] = field(default_factory=dict)
    on_jax: bool = True
    given: tuple[str, ...] = ()
