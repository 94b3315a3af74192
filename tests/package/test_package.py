"""The package as it is installed: what an import loads, what ships, what is public."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import memcore
from memcore.engine.auto import TABLE

PACKAGES = ["memcore", "memcore_equinox", "memcore_flax"]
# None of these may be loaded by importing memcore, nor by running one of its models on NumPy.
OPTIONAL = [
    *["jax", "jaxlib", "equinox", "flax", "optax", "orbax", "grain", "safetensors"],
    *["matplotlib", "rich", "scipy", "sklearn", "torch", "tyro"],
]
BLOCK = "import sys; sys.modules.update(dict.fromkeys({names}))\n"


def run(code: str, *, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, in which the packages ``without`` cannot be imported."""
    blocked = BLOCK.format(names=list(without)) if without else ""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", blocked + code], capture_output=True, text=True
    )


def loaded_by(code: str) -> set[str]:
    """The optional packages that code has loaded."""
    result = run(code + "\nimport sys; print('\\n' + ' '.join(sys.modules))")
    assert result.returncode == 0, result.stderr
    modules = result.stdout.splitlines()[-1].split()
    return {name.split(".")[0] for name in modules} & set(OPTIONAL)


def test_import_loads_nothing_optional():
    assert loaded_by("import memcore") == set()


def test_every_public_name_loads_nothing_optional():
    assert loaded_by("import memcore\nfor name in memcore.__all__: getattr(memcore, name)") == set()


def test_numpy_model_loads_nothing_optional():
    code = """
import memcore, numpy as np
model = memcore.LRU(4)
params = model.init(0)
state, ys = model.apply(params, np.zeros((3, 4), "float32"))
memcore.step(model, params, state, np.zeros(4, "float32"))
"""
    assert loaded_by(code) == set()


def test_version_is_that_of_the_distribution():
    assert memcore.__version__ == importlib.metadata.version("memcore")


def test_public_names_exist_once():
    assert sorted(set(memcore.__all__)) == sorted(memcore.__all__)
    assert [name for name in memcore.__all__ if not hasattr(memcore, name)] == []
    assert set(memcore.__all__) <= set(dir(memcore))


def test_documentation_lists_the_public_names(pytestconfig: pytest.Config):
    """Each once: the names of ``memcore``, but for its modules, and those of ``memcore.ops``."""
    pages = (pytestconfig.rootpath / "docs" / "api").glob("*.md")
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    listed = re.findall(r"^::: (memcore\.[\w.]+)$", text, re.M)
    # Where a name is its module's too, the page says both; rules stand in their family.
    listed = [re.sub(r"(\.ops\.\w+)?\.(\w+)\.\2$", r"\1.\2", path) for path in listed]
    listed = [re.sub(r"\.ops\.\w+\.", ".ops.", path) for path in listed]
    listed = [re.sub(r"\.(engine|generation)\.", ".", path) for path in listed]
    public = [f"memcore.{name}" for name in memcore.__all__ if name != "__version__"]
    public += [f"memcore.ops.{name}" for name in memcore.ops.__all__]
    for module in (memcore.inspect, memcore.parallel, memcore.rl, memcore.rl.environments):
        public += [f"{module.__name__}.{name}" for name, _ in inspect.getmembers(module, _is_made)]
    assert len(set(listed)) == len(listed)
    assert sorted(filter(_is_value, listed)) == sorted(filter(_is_value, public))


def _is_made(value: object) -> bool:
    return inspect.isclass(value) or inspect.isfunction(value)


def _is_value(path: str) -> bool:
    try:
        return not isinstance(functools.reduce(getattr, path.split(".")[1:], memcore), ModuleType)
    except AttributeError:  # a module that nobody has imported yet
        return importlib.util.find_spec(path) is None


def test_documentation_shows_what_auto_chooses(pytestconfig: pytest.Config):
    page = (pytestconfig.rootpath / "docs" / "methods.md").read_text(encoding="utf-8")
    for rule, choices in TABLE.items():
        cells = [
            f"{choice.method} {choice.chunk_size or ''}".strip()
            + (", measured" if choice.why.startswith("measured") else "")
            for choice in (choices[device] for device in ("numpy", "cpu", "gpu", "tpu"))
        ]
        assert f"| `{rule}` | {' | '.join(cells)} |" in page


@pytest.mark.parametrize("package", PACKAGES)
def test_typed_marker_ships(package: str):
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    assert (Path(spec.origin).parent / "py.typed").is_file()


@pytest.mark.parametrize(
    ("module", "framework", "extra"),
    [
        ("memcore_equinox", "equinox", "equinox"),
        ("memcore_flax.linen", "flax", "flax"),
        ("memcore_flax.nnx", "flax", "flax"),
    ],
)
def test_missing_framework_names_the_extra(module: str, framework: str, extra: str):
    result = run(f"import {module}", without=(framework,))
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(("ImportError: ", "ModuleNotFoundError: "))
    assert f"memcore[{extra}]" in last or f'".[{extra}]"' in last


def test_help_loads_nothing_optional():
    assert loaded_by("from memcore.cli import main\nassert main(['--help']) == 0") == set()


@pytest.mark.requires("tyro")
def test_help_of_train_is_light():
    code = """
from memcore.cli import main
try:
    code = main(["train", "--help"])
except SystemExit as end:
    code = end.code
assert not code, code
"""
    heavy = {"jax", "equinox", "flax", "grain", "matplotlib", "optax", "orbax", "sklearn"}
    assert loaded_by(code) & heavy == set()


def test_training_without_its_extra_names_it():
    code = "import sys; from memcore.cli import main; sys.exit(main(['train']))"
    result = run(code, without=("tyro", "jax"))
    assert result.returncode == 2
    assert 'extra "train"' in result.stderr and "Traceback" not in result.stderr


def test_entry_point():
    [script] = importlib.metadata.entry_points(group="console_scripts", name="memcore")
    assert script.value == "memcore.cli:main"


@pytest.mark.xdist_group("package")
def test_marked_tests_go_to_one_worker(request):
    """With ``--dist loadgroup`` xdist reads the group of a test in its name."""
    if request.config.getoption("dist", "no") == "loadgroup":
        assert request.node.nodeid.endswith("@package")
