"""What the tests run over: models and rules, each beside its independent reference."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def walk(package: str, path: list[str]) -> list[ModuleType]:
    """Every module of the folders below a package, in the order of their names."""
    found = pkgutil.walk_packages(path, f"{package}.")
    return [importlib.import_module(module.name) for module in found if not module.ispkg]
