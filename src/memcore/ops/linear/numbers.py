"""The numbers of linear recurrences ``h_t = a_t h_{t-1} + b_t``: what ``a``, ``h`` and ``a h`` are.

             a                            h
REAL         array ``(..., N)``           array ``(..., N)``; a may have length 1 for N
COMPLEX      (re, im)                     (re, im)
BLOCK        ((a00, a01), (a10, a11))     (h0, h1)
DENSE        array ``(..., N, N)``        array ``(..., N)``
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from memcore.backend import tree_map
from memcore.types import Array


@dataclass(frozen=True)
class Numbers:
    """One kind of numbers, as functions of them.

    Attributes:
        act: ``(a, h)`` to ``a h``.
        product: ``(a, b)`` to ``a b``, two transitions in one.
        pull: ``(a, g)`` to ``a^T g`` (conjugated where complex): the gradient in h.
        outer: ``(g, h)`` to the gradient in ``a``.
    """

    act: Callable[[Array, Array], Array]
    product: Callable[[Array, Array], Array]
    pull: Callable[[Array, Array], Array]
    outer: Callable[[Array, Array], Array]


def plus(x: Array, y: Array) -> Array:
    """``x + y`` of two ``a`` or two ``h`` of one kind."""
    return tree_map(lambda a, b: a + b, x, y)


def _times(a: Array, h: Array) -> Array:
    return a * h


def _complex_times(a: Array, h: Array) -> Array:
    return (a[0] * h[0] - a[1] * h[1], a[0] * h[1] + a[1] * h[0])


def _conjugate_times(a: Array, g: Array) -> Array:
    return (a[0] * g[0] + a[1] * g[1], a[0] * g[1] - a[1] * g[0])


def _complex_outer(g: Array, h: Array) -> Array:
    return _conjugate_times(h, g)


def _block_act(a: Array, h: Array) -> Array:
    return tuple(row[0] * h[0] + row[1] * h[1] for row in a)


def _transposed(a: Array) -> Array:
    return ((a[0][0], a[1][0]), (a[0][1], a[1][1]))


def _block_product(a: Array, b: Array) -> Array:
    return _transposed(tuple(_block_act(a, column) for column in _transposed(b)))


def _block_pull(a: Array, g: Array) -> Array:
    return _block_act(_transposed(a), g)


def _block_outer(g: Array, h: Array) -> Array:
    return tuple((row * h[0], row * h[1]) for row in g)


def _dense_act(a: Array, h: Array) -> Array:
    return (a @ h[..., None])[..., 0]


def _dense_product(a: Array, b: Array) -> Array:
    return a @ b


def _dense_pull(a: Array, g: Array) -> Array:
    return (g[..., None, :] @ a)[..., 0, :]


def _dense_outer(g: Array, h: Array) -> Array:
    return g[..., :, None] * h[..., None, :]


REAL = Numbers(_times, _times, _times, _times)
COMPLEX = Numbers(_complex_times, _complex_times, _conjugate_times, _complex_outer)
BLOCK = Numbers(_block_act, _block_product, _block_pull, _block_outer)
DENSE = Numbers(_dense_act, _dense_product, _dense_pull, _dense_outer)


def numbers_of(a: Array) -> Numbers:
    """The kind of ``a``, by its structure; a dense matrix is not told from an array."""
    if not isinstance(a, tuple):
        return REAL
    return BLOCK if isinstance(a[0], tuple) else COMPLEX
