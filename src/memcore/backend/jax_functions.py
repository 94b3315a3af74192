"""What JAX does its own way. Imported only once a JAX array is met."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax

checkpoint = jax.checkpoint
sigmoid = jax.lax.logistic
stop_gradient = jax.lax.stop_gradient


def platform(x: Any) -> str:
    """``cpu``, ``gpu`` or ``tpu``: where ``x`` lies, or inside ``jit`` the default device."""
    try:
        kind = next(iter(x.devices())).platform
    except (AttributeError, jax.errors.ConcretizationTypeError):
        kind = jax.default_backend()
    return {"cuda": "gpu", "rocm": "gpu"}.get(kind, kind)


def fold(f: Callable[..., Any], carry: Any, xs: Any, length: int) -> Any:
    # A symbolic length may not be given, only found.
    return jax.lax.scan(f, carry, xs, length=None if jax.tree.leaves(xs) else length)


def associative_scan(op: Callable[[Any, Any], Any], elements: Any, axis: int) -> Any:
    return jax.lax.associative_scan(op, elements, axis=axis)


def running_max(x: Any, axis: int) -> Any:
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
def _compiled(run: Callable[..., Any], statics: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
    return run(*statics, *args)


def compiled(run: Callable[..., Any], statics: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
    return _compiled(run, statics, args)
