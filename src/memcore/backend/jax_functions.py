"""What JAX does its own way. Imported only once a JAX array is met."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from memcore.types import Array, Element, Tree

checkpoint = jax.checkpoint
sigmoid = jax.lax.logistic
stop_gradient = jax.lax.stop_gradient


def platform(x: Array) -> str:
    """``cpu``, ``gpu`` or ``tpu``: where ``x`` lies, or inside ``jit`` the default device."""
    try:
        kind = next(iter(x.devices())).platform
    except (AttributeError, jax.errors.ConcretizationTypeError):
        kind = jax.default_backend()
    return {"cuda": "gpu", "rocm": "gpu"}.get(kind, kind)


def fold(f: Callable[..., Any], carry: Tree, xs: Tree, length: int) -> Tree:
    return jax.lax.scan(f, carry, xs, length=length)


def associative_scan(op: Callable[[Tree, Tree], Tree], elements: Element, axis: int) -> Tree:
    return jax.lax.associative_scan(op, elements, axis=axis)


def running_max(x: Array, axis: int) -> Array:
    return jax.lax.cummax(x, axis=axis)


@partial(jax.jit, static_argnums=(0, 1))
def _compiled(run: Callable[..., Any], statics: tuple[Tree, ...], args: tuple[Tree, ...]) -> Tree:
    return run(*statics, *args)


def compiled(run: Callable[..., Any], statics: tuple[Tree, ...], args: tuple[Tree, ...]) -> Tree:
    return _compiled(run, statics, args)
