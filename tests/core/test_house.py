"""The house: arrows between its rooms point one way, and JAX has its own rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import memcore

ROOT = Path(memcore.__file__).parent
FLOORS = [
    ["types"],
    ["backend", "fields"],
    ["nn", "engine"],
    ["cell"],
    ["starts", "registry", "files"],
    ["checkpoint", "generation"],
    ["ops"],
    ["layers"],
    ["models"],
    ["compose"],
    ["convert"],
]
"""From the ground up: a room imports from those below it, and from itself."""
ALSO = {"engine": {"fields"}}
"""Neighbours on one floor."""


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, anywhere in it but for a type checker."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {inner for node in tree.body if is_for_types(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in named:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def room(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def test_arrows_point_down() -> None:
    height = {name: i for i, floor in enumerate(FLOORS) for name in floor}
    wrong = []
    for path in ROOT.rglob("*.py"):
        here = room(path)
        for name in imports(path) if here in height else ():
            parts = name.split(".")
            there = parts[1] if parts[0] == "memcore" and len(parts) > 1 else here
            if there != here and height.get(there, 99) >= height[here]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_jax_has_its_own_rooms() -> None:
    own = {"backend", "train", "testing", "rl"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in ROOT.rglob("*.py")
        if room(path) not in own and path.name != "_jax.py"
        for name in imports(path)
        if name.split(".")[0] in ("jax", "flax", "equinox")
    ]
    assert wrong == []


def test_no_rule_is_known_below_the_rules() -> None:
    rules = {path.stem for path in (ROOT / "ops").glob("*/*.py")} - {"__init__", "_jax"}
    for path in (ROOT / "backend").glob("*.py"):
        assert not any(name.startswith("memcore.ops") for name in imports(path))
        assert path.stem not in rules


def test_model_files_read_like_papers() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "models").glob("*/*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 120
    }
    assert long == {}


def test_how_a_part_is_run_is_the_engines() -> None:
    """Composites, cells and rules are all that is run; a model says what it is made of."""
    own = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name == "_apply"
    }
    assert own == {"cell/model.py", "cell/cell.py", "ops/rule.py", "ops/inner/rule.py"}


def test_the_contract_is_in_short_files() -> None:
    lengths = [
        len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "cell").glob("*.py")
    ]
    assert max(lengths) <= 200
