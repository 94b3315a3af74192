"""Models and tasks of your own, in modules that register them: by name, or as installed plugins."""

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

GROUP = "memcore"
"""The group of entry points, each a module, that the command line imports."""

_named: tuple[str, ...] = ()


def name(modules: Sequence[str]) -> None:
    """Import these modules, and keep their names for the configurations of this process's runs.

    Raises ValueError where one cannot be imported.
    """
    global _named
    load(modules)
    _named = tuple(modules)


def named() -> tuple[str, ...]:
    """The modules that the command line named."""
    return _named


def load(modules: Sequence[str]) -> None:
    """Import modules by their names, from the current folder too, where Python looks last.

    Raises ValueError where one cannot be imported, saying why.
    """
    if modules and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            raise ValueError(
                f"--import names {module!r}, which cannot be imported ({type(error).__name__}: {error}): "
                "expected a module of the current folder, of PYTHONPATH, or an installed one"
            ) from error


def load_installed() -> list[str]:
    """Import the plugins that are installed; a sentence about each that cannot be imported."""
    problems = []
    for plugin in entry_points(group=GROUP):
        try:
            plugin.load()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            problems.append(f"the plugin {plugin.name} ({plugin.value}) cannot be imported: {why}")
    return problems
