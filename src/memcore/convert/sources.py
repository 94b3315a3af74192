"""Where weights come from, and how they become a model and its parameters."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from memcore.backend import nested
from memcore.cell import Model, Params
from memcore.convert.weights import Take, Weights, flattened
from memcore.engine.parameters import check_params
from memcore.types import Tree, Value

Table = dict[str, Take]
"""memcore's parameters by path, and what of the weights each is made of."""
Build = Callable[..., tuple[Model, Table]]
"""``(weights, **settings)`` to the model and the table."""


@dataclass(frozen=True)
class Source:
    """A class of another library.

    Args:
        build: gives the model and the table; its keyword arguments are the settings.
        between: what joins the names of that library.
        told: settings that a module of that library has as attributes, by their names there; dots lead
            through the modules inside, and functions tell their names.
        fixed: attributes of a module of that library, and what they must be, functions by their names.
        also: other names of the same arrays, as in other releases, by their beginnings.
        inside: modules around the class, whose names are left out.
        differs: what it computes instead, where memcore has no such model.
    """

    build: Build | None = None
    between: str = "."
    told: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Value] = field(default_factory=dict)
    also: Mapping[str, str] = field(default_factory=dict)
    inside: tuple[str, ...] = ()
    differs: str = ""


SOURCES: dict[str, Source] = {}
"""Every class whose weights are known, or refused, by its dotted name."""


def source(*names: str, **how: Value) -> Callable[[Build], Build]:
    """Decorator: what is below converts the classes of these names."""

    def add(build: Build) -> Build:
        SOURCES.update(dict.fromkeys(names, Source(build, **how)))
        return build

    return add


def refuse(name: str, differs: str) -> None:
    """Say what a class computes that no model of memcore does."""
    SOURCES[name] = Source(differs=differs)


def from_weights(source: str, weights: Tree, **settings: Value) -> tuple[Model, Params]:
    """A model that computes what a layer of another library does, and its parameters.

    Args:
        source: the dotted name of the layer's class, as ``"torch.nn.GRU"``; `SOURCES` has them all.
        weights: arrays by that library's own names, flat (``"gate_in.linear.weight"``) or nested; or the
            module, or its tree of parameters.
        settings: what shapes do not tell, as ``window=8``; a module tells some of them itself.

    Returns:
        ``(model, params)``, the parameters as NumPy arrays in the dtype of the weights.

    Raises:
        ValueError: an unknown source, one that computes something else than the model of its name (the
            message says what), or weights that are missing, left over or of another shape.
        TypeError: a setting is unknown or missing, or ``weights`` is neither arrays by name nor a module.
    """
    found = _lookup(source)
    if found.build is None:
        raise ValueError(f"source is {source!r}, which no model here computes: {found.differs}")
    for attribute, wanted in found.fixed.items():
        given = _attribute(weights, attribute)
        if given is not None and given != wanted:
            raise ValueError(f"weights.{attribute} is {given}, expected {wanted} for {source}")
    told = {ours: _attribute(weights, theirs) for ours, theirs in found.told.items()}
    settings = {n: v for n, v in told.items() if v is not None} | settings
    _check_settings(source, found.build, settings)
    w = Weights(source, _named(found, flattened(weights, found.between)))
    model, table = found.build(w, **settings)
    params = nested({path: take(w) for path, take in table.items()})
    w.finish()
    check_params(model, params, f"the conversion of {source}")
    return model, params


def _attribute(module: Tree, path: str) -> Value:
    """What a module says of itself, a function by its name; None where it says nothing."""
    for name in path.split("."):
        module = getattr(module, name, None)
    return getattr(module, "__name__", module)


def _lookup(name: str) -> Source:
    if name not in SOURCES:
        near = difflib.get_close_matches(str(name), SOURCES) or sorted(SOURCES)
        raise ValueError(f"source is {name!r}, which is not known; did you mean one of {near}?")
    return SOURCES[name]


def _check_settings(name: str, build: Build, settings: Mapping[str, Value]) -> None:
    known = dict(list(inspect.signature(build).parameters.items())[1:])
    for setting in settings:
        if setting not in known:
            has = f"its settings are {tuple(known)}" if known else "it has none"
            raise TypeError(f"settings has {setting!r}, which {name} does not have: {has}")
    for setting, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and setting not in settings:
            raise TypeError(f"settings lacks {setting!r}, which the weights of {name} do not tell")


def _named(found: Source, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays under the names that the table knows."""
    for room in found.inside:
        start = room + found.between
        if arrays and all(name.startswith(start) for name in arrays):
            arrays = {name.removeprefix(start): array for name, array in arrays.items()}
    named = {}
    for name, array in arrays.items():
        first, dot, rest = name.partition(found.between)
        named[found.also.get(first, first) + dot + rest] = array
    return named
