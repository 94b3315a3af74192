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

from memcore.backend import namespace, tree_leaves, tree_map
from memcore.engine.resets import select
from memcore.types import Array


@dataclass(frozen=True)
class Numbers:
    """One kind of numbers, as functions of them.

    Attributes:
        act: ``(a, h)`` to ``a h``.
        product: ``(a, b)`` to ``a b``, two transitions in one.
        pull: ``(a, g)`` to ``a^T g`` (conjugated where complex): the gradient in h.
        outer: ``(g, h)`` to the gradient in ``a``.
        one: ``a`` to the transition that changes nothing, of its shape.
    """

    act: Callable[[Array, Array], Array]
    product: Callable[[Array, Array], Array]
    pull: Callable[[Array, Array], Array]
    outer: Callable[[Array, Array], Array]
    one: Callable[[Array], Array]


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


def _one(a: Array) -> Array:
    return namespace(a).ones_like(a)


def _complex_one(a: Array) -> Array:
    return _one(a[0]), namespace(a[1]).zeros_like(a[1])


def _block_one(a: Array) -> Array:
    one, zero = _complex_one(a[0])
    return (one, zero), (zero, one)


def _dense_one(a: Array) -> Array:
    xp = namespace(a)
    return xp.zeros_like(a) + xp.eye(a.shape[-1], dtype=a.dtype)


REAL = Numbers(_times, _times, _times, _times, _one)
COMPLEX = Numbers(_complex_times, _complex_times, _conjugate_times, _complex_outer, _complex_one)
BLOCK = Numbers(_block_act, _block_product, _block_pull, _block_outer, _block_one)
DENSE = Numbers(_dense_act, _dense_product, _dense_pull, _dense_outer, _dense_one)


def numbers_of(a: Array) -> Numbers:
    """The kind of ``a``, by its structure; a dense matrix is not told from an array."""
    if not isinstance(a, tuple):
        return REAL
    return BLOCK if isinstance(a[0], tuple) else COMPLEX


def product(numbers: Numbers, a: Array, axis: int) -> Array:
    """``a_T ... a_2 a_1`` over the time ``axis``, which is gone then: neighbours first, in log T rounds."""

    def part(start: int, stop: int | None, step: int = 1) -> Array:
        index = (slice(None),) * axis + (slice(start, stop, step), ...)
        return tree_map(lambda x: x[index], a)

    length = tree_leaves(a)[0].shape[axis]
    while length > 1:
        even = length // 2 * 2
        pairs, odd = numbers.product(part(1, even, 2), part(0, even, 2)), part(even, None)
        if length > even:
            pairs = tree_map(lambda x, y: namespace(x).concat([x, y], axis=axis), pairs, odd)
        a, length = pairs, length - even // 2
    return tree_map(lambda x: namespace(x).squeeze(x, axis=axis), a)


def power(numbers: Numbers, a: Array, count: Array, most: int) -> Array:
    """``a^count``, by squares; ``count (*batch)`` is an int32 of at most ``most``.

    A row sees no square that its own count does not need: one that overflows would spoil gradients.
    """
    result = one = numbers.one(a)
    for bit in range(most.bit_length()):
        if bit:
            root = select(count >= 2**bit, a, one)
            a = numbers.product(root, root)
        result = numbers.product(select(count // 2**bit % 2 == 1, a, one), result)
    return result
