"""What every test shares: array backends, required packages, JAX's strictness, Hypothesis.

    pytest --backend numpy --backend jax      the backends to test; a missing one fails
    pytest --require torch                    a package that must be there

Without ``--backend`` the tests run on NumPy and on whichever of array_api_strict and JAX is
installed. A test asks for the ``backend`` fixture and runs once for each backend;
``@pytest.mark.backend("jax")`` keeps it to the named ones. ``@pytest.mark.requires("torch")``
leaves a test out where the package is absent, unless ``--require`` demands it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import optree
import pytest

selected = pytest.StashKey[list["Backend"]]()
finished = pytest.StashKey[int]()
PROGRAMS_LAST = 100
"""Tests after which compiled programs are forgotten, and"""
MAPS_AT_MOST = 20_000
"""memory maps of the process, where they can be counted."""
BACKENDS = {"numpy": "numpy", "array_api_strict": "array_api_strict", "jax": "jax.numpy"}


@dataclass(frozen=True)
class Backend:
    """One array library: its namespace, and trees of arrays to it and back from it."""

    name: str

    @property
    def xp(self) -> Any:
        return importlib.import_module(BACKENDS[self.name])

    def asarray(self, tree: Any) -> Any:
        """The same tree in this library's arrays; NumPy's are copies that refuse to be written."""
        return optree.tree_map(self._asarray, tree)

    def _asarray(self, leaf: Any) -> Any:
        if self.name == "numpy":
            array = np.array(leaf)
            array.flags.writeable = False
            return array
        source = np.asarray(leaf)
        array = self.xp.asarray(source)
        if self.name == "jax" and source.dtype.kind in "fc" and array.dtype != source.dtype:
            raise TypeError(f"JAX made {array.dtype} of {source.dtype}: use the x64 fixture")
        return array

    def to_numpy(self, tree: Any) -> Any:
        """The same tree in NumPy arrays."""
        return optree.tree_map(np.asarray, tree)

    @contextlib.contextmanager
    def x64(self) -> Iterator[None]:
        """Inside, float64 is float64; it needs saying to JAX only."""
        if self.name == "jax":
            import jax

            with jax.enable_x64(True):
                yield
        else:
            yield


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("memcore")
    group.addoption(
        "--backend",
        action="append",
        default=[],
        choices=list(BACKENDS),
        help="array library to test, repeatable; a missing one fails (default: those installed)",
    )
    group.addoption(
        "--require",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="package that must be there, so that no test marked requires(PACKAGE) is left out",
    )
    group.addoption(
        "--whole",
        action="store_true",
        help="every method and placement, where some of each kind are tested otherwise",
    )


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "backend(*names): runs on these array libraries only")
    config.addinivalue_line("markers", "requires(*packages): left out where a package is absent")
    config.addinivalue_line("markers", "devices(n): left out where JAX has fewer devices")
    config.addinivalue_line("markers", "whole: left out without --whole")
    # pytest-cov's: coverage doubles the time of a test, and is for those that reach lines first.
    config.addinivalue_line("markers", "no_cover: what runs here is covered by another test")

    asked: list[str] = config.getoption("--backend")
    absent = [name for name in [*asked, *config.getoption("--require")] if not installed(name)]
    if absent:
        raise pytest.UsageError(f"required, but not installed: {', '.join(absent)}")
    names = list(dict.fromkeys(asked)) or [name for name in BACKENDS if installed(name)]
    config.stash[selected] = [Backend(name) for name in names]

    if "jax" in names:
        import jax

        jax.config.update("jax_numpy_dtype_promotion", "strict")

    # The same examples everywhere and always: a failure in CI is a failure here.
    hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
    hypothesis.settings.register_profile("search", deadline=None, max_examples=1000)
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def _allowed(node_markers: list[pytest.Mark], backends: list[Backend]) -> list[Backend]:
    for mark in node_markers:
        unknown = set(mark.args) - set(BACKENDS)
        if unknown:
            raise pytest.UsageError(f"unknown backend {unknown}; known: {list(BACKENDS)}")
        backends = [backend for backend in backends if backend.name in mark.args]
    return backends


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        marks = list(metafunc.definition.iter_markers("backend"))
        backends = _allowed(marks, metafunc.config.stash[selected])
        # Parametrised directly, not through a fixture: Hypothesis refuses function-scoped fixtures.
        metafunc.parametrize("backend", backends, ids=lambda backend: backend.name)


def _group(item: pytest.Item) -> str | None:
    """For --dist loadgroup: the tests of one model go to one worker, which compiles it once.

    Not where a file says which belong together: xdist makes one name of two groups.
    """
    if item.get_closest_marker("xdist_group"):
        return None
    params = item.callspec.params if hasattr(item, "callspec") else {}
    names = [value for value in params.values() if isinstance(value, str)]
    name = params.get("name", names[0] if names else None)
    return f"{item.path.stem}-{name}" if name else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, rather than skip, what does not belong to this session."""
    alone = [backend.name for backend in config.stash[selected]]

    def belongs(item: pytest.Item) -> bool:
        marks = list(item.iter_markers("backend"))
        if marks and not _allowed(marks, config.stash[selected]):
            return False
        for mark in item.iter_markers("devices"):
            import jax

            if jax.device_count() < mark.args[0]:
                return False
        # NumPy's session runs what asks for no array library.
        if alone == ["array_api_strict"] and "backend" not in item.fixturenames:
            return False
        if item.get_closest_marker("whole") and not item.config.getoption("--whole"):
            return False
        packages = [package for mark in item.iter_markers("requires") for package in mark.args]
        return all(installed(package) for package in packages)

    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            if group := _group(item):
                item.add_marker(pytest.mark.xdist_group(group))

    left_out = [item for item in items if not belongs(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if belongs(item)]


def maps() -> int:
    """How many memory maps this process has; 0 on systems that do not say."""
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return 0


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Forget what was compiled, now and then: every program holds memory maps, of which a process has 65,530,
    and XLA crashes where there is none left. The persistent cache brings back what is needed again."""
    count = item.config.stash[finished] = item.config.stash.get(finished, 0) + 1
    if "jax" in sys.modules and (count % PROGRAMS_LAST == 0 or maps() > MAPS_AT_MOST):
        sys.modules["jax"].clear_caches()
        gc.collect()


@pytest.fixture
def x64(backend: Backend) -> Iterator[None]:
    """For the length of one test, float64 is float64 on this backend."""
    with backend.x64():
        yield
