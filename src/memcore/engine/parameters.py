"""What a model's parameters are: their names, shapes and labels, without drawing a number."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from memcore.backend import LabelDraw, TooManyNumbers, is_floating, tree_paths
from memcore.types import Array, Params, Tree

if TYPE_CHECKING:
    from memcore.cell import Model

LABELS = {"kernel": "matrix", "embedding": "matrix", "bias": "bias", "scale": "scale"}
"""What a parameter of that name is, where its draw says nothing."""


@functools.lru_cache(maxsize=1024)
def described(model: Model) -> dict[str, tuple[tuple[int, ...], str | None]]:
    """Shape and label of every parameter, by path."""
    return {path: _describe(path, leaf) for path, leaf in tree_paths(_drawn(model))}


def _drawn(model: Model) -> Params:
    """The parameters, of which nothing is drawn where labels do."""
    try:
        with np.errstate(all="ignore"):
            return model.init(LabelDraw())
    except TooManyNumbers:
        raise
    except Exception:  # a user's init that wants a seed: names say what its parameters are
        return model.init(0)


def _describe(path: str, leaf: Array) -> tuple[tuple[int, ...], str | None]:
    known = LABELS.get(path.rpartition("/")[2])
    return tuple(leaf.shape), getattr(leaf, "label", None) or known


def label_of(model: Model, path: str) -> str:
    """What the parameter at ``path`` is.

    Raises:
        ValueError: it has neither a label nor a name that says it.
    """
    known = described(model)
    if path not in known:
        raise ValueError(f"params has the leaf {path!r}, which {model!r} does not have")
    label = known[path][1]
    if label is None:
        raise ValueError(
            f"the parameter {path!r} of {model!r} has no label: expected one at its draw, as "
            f'label="recurrence", or one of the names {tuple(LABELS)}'
        )
    return label


def check_params(model: Model, params: Params, source: str = "params") -> None:
    """Raise for the first leaf that is missing, too many, of another shape, or no floating point array.

    Raises:
        ValueError: a leaf is missing, too many, or of another shape.
        TypeError: ``params`` is no dict, or a leaf holds no floating point numbers.
    """
    if fits(model, params):
        return
    if not isinstance(params, Mapping):
        raise TypeError(
            f"{source} is a {type(params).__name__}, expected the model's dict of arrays"
        )
    expected, given = described(model), dict(tree_paths(params))
    for name, (shape, _) in expected.items():
        if name not in given:
            raise ValueError(f"{source} lacks the leaf {name!r} of {model!r}{_inside(params)}")
        leaf = given[name]
        if not _is_plain(leaf):
            raise TypeError(
                f"{source} has the leaf {name!r}, which is masked, a numpy.matrix or in the byte order of "
                "another machine: expected a plain array"
            )
        if not _holds_floats(leaf):
            kind = getattr(leaf, "dtype", type(leaf).__name__)
            raise TypeError(
                f"{source} has the leaf {name!r} of {kind}, expected an array of floating point numbers"
            )
        if tuple(leaf.shape) != shape:
            raise ValueError(
                f"{source} has the leaf {name!r} of shape {tuple(leaf.shape)}, expected {shape} "
                f"for {model!r}"
            )
    if len(given) > len(expected):
        extra = sorted(set(given) - set(expected))
        raise ValueError(f"{source} has the leaf {extra[0]!r}, which {model!r} does not have")
    empty = _stranger(_nested(model), params)
    if empty is not None:
        raise ValueError(f"{source} has the empty dict {empty!r}, which {model!r} does not have")


def _stranger(shapes: dict[str, Any], params: Mapping[str, Any]) -> str | None:
    """The path of a dict that the model does not have, where all leaves are its own."""
    for name, inside in params.items():
        if isinstance(inside, Mapping):
            if name not in shapes:
                return str(name)
            found = _stranger(shapes[name], inside)
            if found is not None:
                return f"{name}/{found}"
    return None


def fits(model: Model, params: Params) -> bool:
    """Whether the leaves are the model's, as quickly as that can be seen; false where it needs a closer
    look."""
    return _fits(_nested(model), params)


def checked_params(model: Model, params: Params) -> Params:
    """The parameters, checked, with the empty dicts of parts that have none, which flattened ones lack.

    Raises:
        ValueError, TypeError: as `check_params`.
    """
    if fits(model, params):
        return params
    check_params(model, params)
    return whole(model, params)


def whole(model: Model, params: Params) -> Params:
    """The parameters with the empty dicts of parts that have none, which leaves by their paths lack."""
    return _whole(_nested(model), params)


def _whole(shapes: dict[str, Any], params: Params) -> Params:
    return {
        name: _whole(shape, params.get(name, {})) if type(shape) is dict else params[name]
        for name, shape in shapes.items()
    }


@functools.lru_cache(maxsize=1024)
def _nested(model: Model) -> dict[str, Any]:
    """The shapes as a nested dict, like the parameters."""
    return _shapes(_drawn(model))


def _shapes(params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _shapes(leaf) if isinstance(leaf, Mapping) else tuple(getattr(leaf, "shape", ()))
        for name, leaf in params.items()
    }


def _fits(shapes: dict[str, Any], params: Tree) -> bool:
    if type(params) is not dict or len(params) != len(shapes):
        return False
    for name, shape in shapes.items():
        leaf: Tree = params.get(name)
        if type(shape) is dict:
            if not _fits(shape, leaf):
                return False
        elif (
            leaf is None
            or getattr(leaf, "shape", None) != shape
            or getattr(leaf.dtype, "kind", "") != "f"
            or not _is_plain(leaf)
        ):
            return False
    return True


def _holds_floats(leaf: Array) -> bool:
    """Whether it is an array of floating point numbers, of this machine's libraries or of one that JAX
    describes."""
    if isinstance(leaf, np.ndarray):
        return is_floating(leaf)
    return "float" in str(getattr(leaf, "dtype", ""))


def _is_plain(leaf: Array) -> bool:
    """Whether a NumPy array is one that every library reads as it stands."""
    if not isinstance(leaf, np.ndarray):
        return True
    return leaf.dtype.isnative and not isinstance(leaf, np.ma.MaskedArray | np.matrix)


def _inside(params: Tree) -> str:
    """Where a framework's variables hold the core's dict."""
    for path in (("params", "memory"), ("memory",), ("params",)):
        at: Tree = params
        for name in path:
            at = at.get(name) if isinstance(at, Mapping) else None
        if isinstance(at, Mapping):
            where = "".join(f"[{name!r}]" for name in path)
            return f"; the core's dict seems to be params{where}"
    return ""
