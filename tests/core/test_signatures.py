"""Public signatures say what they take and give; `memcore.types` has the names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import memcore

ROOT = Path(memcore.__file__).parent
SOURCES = ("memcore", "memcore_equinox", "memcore_flax")
Function = ast.FunctionDef | ast.AsyncFunctionDef
PLAIN = {"__getattr__"}
"""Functions whose result may be anything: attributes of a module that come when they are asked for."""


def public(
    body: list[ast.stmt], prefix: str = ""
) -> Iterator[tuple[str, Function | ast.AnnAssign]]:
    """Functions, methods and annotated names that a module shows, by their paths."""
    for node in body:
        if isinstance(node, ast.If):
            yield from public([*node.body, *node.orelse], prefix)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, Function) and is_public(node.name):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.AnnAssign):
            name = ast.unparse(node.target)
            if is_public(name) and ast.unparse(node.annotation) != "TypeAlias":
                yield f"{prefix}{name}", node


def is_public(name: str) -> bool:
    return not name.startswith("_") or name.startswith("__")


def annotations(node: Function | ast.AnnAssign) -> Iterator[tuple[str, ast.expr | None]]:
    """What a function says of its arguments and its result, or a name of its value."""
    if isinstance(node, ast.AnnAssign):
        yield "its value", node.annotation
        return
    several = node.args
    listed = [*several.posonlyargs, *several.args, *several.kwonlyargs]
    listed += [arg for arg in (several.vararg, several.kwarg) if arg is not None]
    yield from ((arg.arg, arg.annotation) for arg in listed if arg.arg not in ("self", "cls"))
    yield "return", node.returns


def is_bare(annotation: ast.expr) -> bool:
    """Whether ``Any`` stands for a whole value, or for one of a tuple, a list or a choice.

    It may be the values of a dict from JSON, or what a passed function gives: ``dict[str, Any]``,
    ``Callable[..., Any]``.
    """
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in (
        "dict",
        "Callable",
    ):
        return False
    if isinstance(annotation, ast.Name):
        return annotation.id == "Any"
    return any(
        is_bare(inner) for inner in ast.iter_child_nodes(annotation) if isinstance(inner, ast.expr)
    )


def complaints(source: str) -> list[str]:
    """What the public signatures of a module leave unsaid."""
    found = []
    for name, node in public(ast.parse(source).body):
        for argument, annotation in annotations(node):
            if annotation is None:
                found.append(f"{name} says nothing of {argument}")
            elif is_bare(annotation) and name.rpartition(".")[2] not in PLAIN:
                found.append(f"{name} says Any of {argument}")
    return found


def test_public_signatures_say_what_they_take() -> None:
    wrong = [
        f"{path.relative_to(ROOT.parent)}: {complaint}"
        for source in SOURCES
        for path in sorted((ROOT.parent / source).rglob("*.py"))
        for complaint in complaints(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []


def test_what_is_unsaid_is_found() -> None:
    source = """
def f(x, y: Any, *rest: int) -> tuple[State, Any]: ...
class Model:
    width: Any = 1
    def init(self, key: Key) -> dict[str, Any]: ...
    def _own(self, x): ...
    def step(self, state: State | Any): ...
"""
    assert complaints(source) == [
        "f says nothing of x",
        "f says Any of y",
        "f says Any of return",
        "Model.width says Any of its value",
        "Model.step says Any of state",
        "Model.step says nothing of return",
    ]
