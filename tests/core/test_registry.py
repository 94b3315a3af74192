"""The registry: every file of models has its model there."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path

import pytest

import memcore


def model_files() -> list[Path]:
    root = Path(memcore.__file__).parent
    files = sorted([*root.glob("models/*/*.py"), *root.glob("compose/*.py")])
    return [p for p in files if p.stem not in ("__init__", "wrapper")]


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.stem)
def test_every_file_has_its_model_in_the_registry(path: Path) -> None:
    place = path.relative_to(Path(memcore.__file__).parent).with_suffix("")
    module = importlib.import_module(".".join(["memcore", *place.parts]))
    classes = [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, memcore.Model) and cls.__module__ == module.__name__
    ]
    assert classes, f"{path} defines no model"
    assert memcore.registry.get(path.stem) in classes
    package = importlib.import_module(module.__name__.rpartition(".")[0])
    for cls in classes:
        assert cls in memcore.registry.values()
        assert getattr(package, cls.__name__) is cls
        assert getattr(memcore, cls.__name__) is cls and cls.__name__ in memcore.__all__


def test_a_model_of_ones_own_is_registered() -> None:
    @memcore.register("my_own_for_this_test")
    @dataclass(frozen=True)
    class Mine(memcore.GRU):
        pass

    try:
        assert memcore.from_config({"kind": "my_own_for_this_test", "in_features": 3}) == Mine(3)
    finally:
        del memcore.registry["my_own_for_this_test"]
