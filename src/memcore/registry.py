"""Names of models, and models as plain JSON."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, TypeVar

import numpy as np

from memcore.cell import Model
from memcore.types import Value


class Registry(MutableMapping[str, type[Model]]):
    """Every known model class by its name; memcore's own are loaded when somebody looks."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Model]] = {}

    def known(self, name: str) -> type[Model] | None:
        """The class of that name if it has been loaded."""
        return self._classes.get(name)

    def _all(self) -> dict[str, type[Model]]:
        for room in ("memcore.models", "memcore.compose"):
            importlib.import_module(room)
        return self._classes

    def __getitem__(self, name: str) -> type[Model]:
        return self._all()[name]

    def __setitem__(self, name: str, cls: type[Model]) -> None:
        self._classes[name] = cls

    def __delitem__(self, name: str) -> None:
        del self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


registry = Registry()
"""Every known model class by its name, for the command line, checkpoints and tests."""

M = TypeVar("M", bound=type[Model])


def register(name: str) -> Callable[[M], M]:
    """Class decorator: make a model known under ``name``.

    Raises:
        TypeError: the name is no str, or the class not one of models.
        ValueError: another class has the name.
    """
    if not isinstance(name, str):
        raise TypeError(f'name is {name!r}, expected a str: @memcore.register("name")')

    def add(cls: M) -> M:
        if not (isinstance(cls, type) and issubclass(cls, Model)):
            raise TypeError(f"cls is {cls!r}, expected a subclass of memcore.Model")
        other = registry.known(name) or cls
        # The same class again is a module that was loaded anew.
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(
                f"name is {name!r}, which already names {other.__module__}.{other.__qualname__}"
            )
        registry[name] = cls
        return cls

    return add


def alone() -> dict[str, type[Model]]:
    """The known classes that are made from ``in_features``; the others are wrappers of a model."""
    return {name: cls for name, cls in registry.items() if _arguments(cls)[0] == "in_features"}


def lookup(name: str) -> type[Model]:
    """The class of that name.

    Raises:
        ValueError: nothing has the name; the message lists the nearest ones.
    """
    if name not in registry:
        near = difflib.get_close_matches(name, registry) or sorted(registry)
        raise ValueError(f"model is {name!r}, which is not registered; did you mean one of {near}?")
    return registry[name]


def name_of(model: Model) -> str:
    """The registered name of a model's class.

    Raises:
        ValueError: the class is not registered.
    """
    for name, cls in registry.items():
        if type(model) is cls:
            return name
    kind = type(model).__name__
    raise ValueError(f"model is a {kind}, which is not registered: use @memcore.register(name)")


def to_config(model: Model) -> dict[str, Any]:
    """A model as a JSON-able dict: its registered name under ``"kind"``, and its fields.

    Raises:
        TypeError: ``model`` is no model, or a field holds what JSON does not.
        ValueError: its class is not registered.
    """
    if not isinstance(model, Model):
        raise TypeError(f"model is {model!r}, expected a memcore.Model")
    fields = {name: _encode(getattr(model, name)) for name in _arguments(type(model))}
    return {"kind": name_of(model), **fields}


def _arguments(cls: type[Model]) -> list[str]:
    """The fields that a model is made from."""
    return [f.name for f in dataclasses.fields(cls) if f.init]


def _encode(value: Value) -> Value:
    if isinstance(value, Model):
        return to_config(value)
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if isinstance(value, np.bool | np.number):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"a field holds {value!r}, expected a number, string, bool, None, model or tuple of these"
    )


def from_config(config: dict[str, Any]) -> Model:
    """The inverse of `to_config`.

    Raises:
        ValueError: an unknown model or field, or models nested too deeply.
    """
    if not isinstance(config, dict) or not isinstance(config.get("kind"), str):
        raise ValueError(f"config is {config!r}, expected a dict whose 'kind' names a model")
    cls = lookup(config["kind"])
    try:
        fields = {name: _decode(value) for name, value in config.items() if name != "kind"}
    except RecursionError:
        raise ValueError("config is nested too deeply: models within models without end") from None
    unknown = set(fields) - set(_arguments(cls))
    if unknown:
        raise ValueError(f"config of {cls.__name__} has the unknown fields {sorted(unknown)}")
    for name in ("in_features", "model"):  # a wrapper takes its width from the model inside
        if name == _arguments(cls)[0] and name not in fields:
            raise ValueError(f"config of {cls.__name__} lacks the field {name!r}")
    return cls(**fields)


def _decode(value: Value) -> Value:
    if isinstance(value, dict):
        return from_config(value)
    return tuple(_decode(item) for item in value) if isinstance(value, list) else value
