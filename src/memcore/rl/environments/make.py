"""Environments by name."""

from __future__ import annotations

import ast
from dataclasses import fields

from memcore.rl.environments.adapters import ADAPTERS, adapted
from memcore.rl.environments.adapters.vectors import Simulator
from memcore.rl.environments.bandit import Bandit
from memcore.rl.environments.base import Environment
from memcore.rl.environments.cart_pole import CartPole
from memcore.rl.environments.memory_chain import MemoryChain
from memcore.rl.environments.random_projection import RandomProjection
from memcore.rl.environments.repeat_first import RepeatFirst
from memcore.rl.environments.repeat_previous import RepeatPrevious
from memcore.rl.environments.t_maze import TMaze

environments: dict[str, type[Environment]] = {
    "bandit": Bandit,
    "cart_pole": CartPole,
    "memory_chain": MemoryChain,
    "random_projection": RandomProjection,
    "repeat_first": RepeatFirst,
    "repeat_previous": RepeatPrevious,
    "t_maze": TMaze,
}
"""The names that `make` knows."""


def make(name: str) -> Simulator:
    """The environment of a name, with fields behind a colon: ``make("t_maze:length=50")``.

    ``gymnax``, ``popgym`` and ``xminigrid`` are other packages, and behind the colon stands the name there:
    ``make("gymnax:MemoryChain-bsuite")``.

    Raises:
        TypeError: ``name`` is no str.
        ValueError: no environment or field has that name, a field comes twice, or a value does not fit.
        ImportError: the other package is not installed.
    """
    if not isinstance(name, str):
        raise TypeError(f"name is {name!r}, expected a str, one of {', '.join(environments)}")
    kind, _, settings = name.partition(":")
    if kind in ADAPTERS:
        return adapted(kind, settings)
    if kind not in environments:
        raise ValueError(
            f"environment is {kind!r}, expected one of {', '.join([*environments, *ADAPTERS])}"
        )
    cls = environments[kind]
    known = [f.name for f in fields(cls)]
    values = {}
    for setting in settings.split(",") if settings else []:
        field, equals, text = (word.strip() for word in setting.partition("="))
        if field not in known or not equals:
            raise ValueError(
                f"{kind} has no setting {setting!r}, expected {', '.join(known)} = value"
            )
        if field in values:
            raise ValueError(f"{kind} has {field} twice in {settings!r}, expected it once")
        values[field] = _value(text)
    return cls(**values)


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
