"""The checks of a run's arguments: each message names the argument, what came and what was expected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from memcore.backend import (
    as_flags,
    asarray_like,
    broadcast_like,
    is_bool,
    is_floating,
    is_integer,
    is_jax,
    namespace,
    plain,
    tree_flatten,
    tree_leaves,
    tree_paths,
    tree_unflatten,
)
from memcore.fields import is_count
from memcore.types import Array, Params, State, Tree

if TYPE_CHECKING:
    from memcore.cell import Model
    from memcore.ops.rule import Rule


def check_method(
    model: Model | Rule, method: str, chunk_size: int | None, return_states: bool | int = False
) -> None:
    """Raise ValueError for a method, or for states, that ``model`` cannot give."""
    allowed = ("auto", *model.methods)
    if method not in allowed:
        raise ValueError(f"method is {method!r}, expected one of {allowed} for {model!r}")
    if not (isinstance(return_states, bool) or is_count(return_states)):
        raise ValueError(
            f"return_states is {return_states!r}, expected True, False or a positive int"
        )
    if method == "fused" and return_states is True and not getattr(model, "returns_states", False):
        raise ValueError(
            "method is 'fused', which keeps no state per step: expected another one with "
            "return_states=True, or return_states=n for the state after every n steps"
        )
    if return_states and not model.causal:
        raise ValueError(
            f"return_states is {return_states!r}, expected False: {model!r} is not causal"
        )
    if chunk_size is not None and not is_count(chunk_size):
        raise ValueError(f"chunk_size is {chunk_size!r}, expected a positive int")


def runnable(model: Model, arrays: Tree) -> tuple[str, ...]:
    """The methods that ``model`` can run on a tree of arrays: ``newton`` needs JAX's derivatives."""
    return tuple(m for m in model.methods if m != "newton" or is_jax(arrays))


def check_derivatives(model: Model, method: str, arrays: Tree) -> None:
    """Raise ValueError for a method that ``model`` has, but not on these arrays."""
    allowed = runnable(model, arrays)
    if method != "auto" and method not in allowed:
        raise ValueError(
            f"method is {method!r}, which needs derivatives: expected JAX arrays, or one of "
            f"{('auto', *allowed)} for arrays without them"
        )


def check_model(model: Model) -> None:
    """Raise TypeError for what is no model: a name, a class, a module of a framework."""
    if isinstance(model, type) or not hasattr(model, "recurrences"):
        raise TypeError(f"model is {model!r}, expected a memcore.Model, as memcore.GRU(64)")


def check_library(params: Params, xs: Array) -> None:
    """Raise TypeError for parameters and inputs of two libraries; NumPy's and JAX's go together."""
    if is_jax(params, xs):
        return
    for leaf in tree_leaves(params):
        if type(leaf) is not type(xs) and namespace(leaf) is not namespace(xs):
            raise TypeError(
                f"xs is a {_kind(xs)}, and params has a {_kind(leaf)}: expected arrays of one library"
            )


def _check_moves(name: str, x: Array, like: Array) -> None:
    """Raise TypeError for an array of another library than ``like``, which NumPy's and JAX's move to."""
    if isinstance(x, np.ndarray | np.generic) or is_jax(x, like):
        return
    if namespace(x) is not namespace(like):
        raise TypeError(f"{name} is a {_kind(x)}, expected an array of the library of the others")


def _kind(x: Array) -> str:
    return f"{type(x).__module__}.{type(x).__qualname__}"


def as_array(x: Array, name: str) -> Array:
    """``x`` itself if it is an array or None, else a NumPy array of it (numbers, lists), in this machine's
    order of bytes.

    Raises:
        TypeError: ``x`` is a masked array, or no array can be made of it.
    """
    if is_jax(x) or x is None:
        return x
    x = plain(name, x, "an array")
    if isinstance(x, np.ndarray) and not x.dtype.isnative:
        return x.astype(x.dtype.newbyteorder("="))
    return x


def as_arrays(tree: Tree, name: str) -> Tree:
    """The leaves of a tree `as_array`; None stays."""
    leaves, structure = tree_flatten(tree)
    return tree_unflatten(structure, [as_array(leaf, name) for leaf in leaves])


def check_inputs(model: Model, xs: Array, name: str = "xs", lead: str = "..., T") -> Array:
    """``xs`` itself, if it has the right rank, width and kind."""
    if xs is None:
        raise TypeError(f"{name} is None, expected an array ({lead}, in_features)")
    rank = lead.count(",") + model.input_ndim
    if model.input_ndim == 0:
        if not is_integer(xs):
            raise TypeError(
                f"{name} has dtype {xs.dtype}, expected integers: {model!r} reads tokens"
            )
        if xs.ndim < rank:
            raise ValueError(f"{name} has shape {xs.shape}, expected ({lead})")
        return xs
    if not is_floating(xs):
        raise TypeError(f"{name} has dtype {xs.dtype}, expected floating point numbers")
    if xs.ndim < rank or xs.shape[-1] != model.in_features:
        raise ValueError(f"{name} has shape {xs.shape}, expected ({lead}, {model.in_features})")
    return xs


def as_booleans(**flags: Array) -> list[Array]:
    """Flags as booleans, by name; looked at here, where the values of JAX arrays are known. None stays."""
    return [None if x is None else as_flags(name, x) for name, x in flags.items()]


def check_flags(
    name: str, flags: Array, xs: Array, shape: tuple[int, ...], like: str = "xs", times: int = 1
) -> Array:
    """``flags`` as booleans broadcast to ``shape``, whose last ``times`` axes must be there; None stays
    None. Numbers must be 0 and 1, and are looked at before another dtype could round them."""
    if flags is None:
        return None
    flags = as_flags(name, flags)
    _check_moves(name, flags, xs)
    flags = asarray_like(flags, xs)
    exact = flags.shape[max(flags.ndim - times, 0) :] == shape[len(shape) - times :]
    if not exact or not _fits(flags.shape, shape):
        raise ValueError(
            f"{name} has shape {flags.shape}, expected {shape} to match {like} {tuple(xs.shape)}"
        )
    return namespace(flags).broadcast_to(flags, shape)


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    tail = target[max(len(target) - len(shape), 0) :]
    return len(shape) <= len(target) and all(a in (1, b) for a, b in zip(shape, tail, strict=True))


def check_state(
    state: State, initial: State, xs: Tree, ndim: int, name: str = "state", like: str = "xs"
) -> State:
    """A given ``state`` with the structure, dtypes and ``ndim`` batch axes of ``initial``.

    Batch axes may be missing or of length 1; the axes of a leaf must be there.
    """
    for full, leaf, want in _checked_leaves(name, state, initial):
        _check_moves(full, leaf, want)
        own = len(want.shape) - ndim
        front, back = leaf.shape[: leaf.ndim - own], leaf.shape[max(leaf.ndim - own, 0) :]
        if leaf.ndim < own or back != want.shape[ndim:] or not _fits(front, want.shape[:ndim]):
            raise ValueError(
                f"{full} has shape {tuple(leaf.shape)}, expected {tuple(want.shape)} to match {like} "
                f"{tuple(xs.shape)}"
            )
    return broadcast_like(state, initial)


def check_rows(state: State, own: State) -> tuple[int, ...]:
    """The batch axes of a ``state`` with the structure and dtypes of ``own``, which has none."""
    batch, first = None, ""
    for name, leaf, want in _checked_leaves("state", state, own):
        if batch is None:
            batch, first = leaf.shape[: max(leaf.ndim - want.ndim, 0)], name
        if leaf.shape != (*batch, *want.shape):
            beside = "" if name == first else f" with the batch axes of {first}"
            raise ValueError(
                f"{name} has shape {tuple(leaf.shape)}, expected {(*batch, *want.shape)}{beside}"
            )
    return batch or ()


def _checked_leaves(name: str, state: State, like: State) -> Iterator[tuple[str, Array, Array]]:
    """``(name, leaf, leaf of like)`` of two states, which must have one structure and the same kinds of
    numbers."""
    got, expected = tree_flatten(state)[1], tree_flatten(like)[1]
    if got != expected:
        raise ValueError(f"{name} has the structure {got}, expected {expected}")
    for (path, leaf), (_, want) in zip(tree_paths(state), tree_paths(like), strict=True):
        full = f"{name}/{path}" if path else name
        leaf = as_array(leaf, full)
        _check_kind(full, leaf, want)
        yield full, leaf, want


def _check_kind(name: str, leaf: Array, want: Array) -> None:
    for kind, check in (("bool", is_bool), ("an integer dtype", is_integer)):
        if check(want) != check(leaf):
            expected = kind if check(want) else "floating point numbers"
            raise TypeError(f"{name} has dtype {leaf.dtype}, expected {expected}")
    if is_floating(want) and not is_floating(leaf):
        raise TypeError(f"{name} has dtype {leaf.dtype}, expected floating point numbers")
