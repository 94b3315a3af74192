"""What JAX does its own way. Imported only once a JAX array is met."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp

from memcore.types import Array, Element, Namespace, Tree

sigmoid = jax.lax.logistic
stop_gradient = jax.lax.stop_gradient


def checkpoint(f: Callable[..., Any], but: str | None) -> Callable[..., Any]:
    policy = None if but is None else jax.checkpoint_policies.save_only_these_names(but)
    return jax.checkpoint(f, policy=policy)


def platform(x: Array) -> str:
    """``cpu``, ``gpu`` or ``tpu``: where ``x`` lies, or inside ``jit`` the default device."""
    try:
        kind = next(iter(x.devices())).platform
    except (AttributeError, jax.errors.ConcretizationTypeError):
        kind = jax.default_backend()
    return {"cuda": "gpu", "rocm": "gpu"}.get(kind, kind)


def in_parts(x: Array, begin: int = 0, end: int | None = None) -> bool:
    """Whether an explicit mesh says where some of these axes of ``x`` lie."""
    return any(axis is not None for axis in jax.typeof(x).sharding.spec[begin:end])


def as_rows(x: Array, axes: int) -> Array:
    """``(..., *axes)`` as ``(rows, *axes)``: the gradient of a kernel that adds over several axes is several
    times slower on CPUs. Where other axes than the first are sharded, rows would not lie as these do."""
    if x.ndim < axes + 2 or in_parts(x, 1):
        return x
    return x.reshape(-1, *x.shape[-axes:])


def all_finite(x: Array) -> Array:
    """Whether all of the last axis is finite. On CPUs a product with zeros, which a number that is not finite
    makes NaN: it takes a third of the time of a look at each number."""
    product = platform(x) == "cpu" and x.dtype == jnp.float32 and x.ndim > 1 and x.shape[-1] > 0
    if not product or in_parts(x) or jax.config.jax_debug_nans:  # which stops at such a NaN
        return jnp.all(jnp.isfinite(x), axis=-1)
    rows = jax.lax.stop_gradient(x).reshape(-1, x.shape[-1])
    return jnp.isfinite(rows @ jnp.zeros((x.shape[-1], 1), x.dtype)).reshape(x.shape[:-1])


def parts(x: Array, count: int) -> list[Array]:
    # A gradient of slices is a sum of padded arrays, of split parts it is one array of them all.
    return list(jnp.split(x, count, axis=-1))


def moving(f: Callable[[], Namespace]) -> Namespace:
    """``f()``, which may move what it needs from the host."""
    with jax.transfer_guard("allow"):
        return f()


def fold(f: Callable[..., Any], carry: Tree, xs: Tree, length: int) -> Tree:
    # A symbolic length may not be given, only found.
    return jax.lax.scan(f, carry, xs, length=None if jax.tree.leaves(xs) else length)


def branch(flag: Array, chosen: Callable[[], Tree], other: Callable[[], Tree]) -> Tree:
    return jax.lax.cond(flag, chosen, other)


def associative_scan(op: Callable[[Tree, Tree], Tree], elements: Element, axis: int) -> Tree:
    return jax.lax.associative_scan(op, elements, axis=axis)


def running_max(x: Array, axis: int) -> Array:
    return jax.lax.cummax(x, axis=axis)


def broadcasting(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, in which arrays of different ranks meet on purpose: ``jax_numpy_rank_promotion="raise"`` is for
    the code of whoever sets it."""

    @wraps(f)
    def run(*args: Any) -> Any:
        with jax.numpy_rank_promotion("allow"):
            return f(*args)

    return run


@partial(jax.jit, static_argnums=(0, 1))
@broadcasting
def _compiled(run: Callable[..., Any], statics: tuple[Tree, ...], args: tuple[Tree, ...]) -> Tree:
    return run(*statics, *args)


def compiled(run: Callable[..., Any], statics: tuple[Tree, ...], args: tuple[Tree, ...]) -> Tree:
    return _compiled(run, statics, args)
