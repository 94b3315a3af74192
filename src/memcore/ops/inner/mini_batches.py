"""Mini-batches on the engine's grid: rows of a sequence put at their places, and a fold over them."""

from __future__ import annotations

from collections.abc import Callable

from memcore.backend import all_finite, checkpoint, fold, is_jax, namespace, placed_like, tree_map
from memcore.cell import Array, Inputs, Starts, State
from memcore.engine.chunking import into_chunks, out_of_chunks
from memcore.engine.resets import poison, seen_so_far, segments, select
from memcore.types import Tree

Body = Callable[[State, Inputs, Starts, Array], tuple[State, Array]]
"""``(state, rows, begins, used) -> (state, out)``: rows are ``(*batch, C, ...)``, ``begins`` the starts or
None and ``used`` the rows that count, both ``(*batch, C)``."""


def rows_at_once(mini_batch: int, chunk_size: int | None) -> int:
    """C: the rows that are computed at once: the largest divisor of the mini-batch within ``chunk_size``."""
    most = min(chunk_size or mini_batch, mini_batch)
    return next(size for size in range(most, 0, -1) if mini_batch % size == 0)


def fold_rows(
    body: Body, turned: Callable[[State], State], state: State, inputs: Inputs, starts: Starts,
    valid: Array, *, phase: Array, mini_batch: int, rows: int, axis: int,
) -> tuple[State, Array]:  # fmt: skip
    """Fold ``body`` over blocks of ``rows`` rows: ``(state, out (*batch, T, ...))``.

    Row t stands at place ``phase + t`` of the grid; the state is ``turned`` at the end of each mini-batch
    that the sequence reaches. ``axis`` is the time axis of the inputs.
    """
    like = next(iter(inputs.values()))
    xp, length = namespace(like), like.shape[axis]
    places = (length + mini_batch + rows - 2) // rows * rows
    row = xp.arange(places, dtype=xp.int32) - (0 if phase is None else phase)
    real = (row >= 0) & (row < length)
    source = xp.clip(row, 0, length - 1)

    def place(x: Array) -> Array:
        return into_chunks(xp.take(x, source, axis=axis), axis, rows)

    used = placed_like(xp.broadcast_to(real, (*like.shape[:axis], places)), like, axis)
    used = used if valid is None else used & xp.take(valid, source, axis=axis)
    begins = None if starts is None else xp.take(starts, source, axis=axis) & real
    flags = tree_map(lambda f: into_chunks(f, axis, rows), (begins, used))
    number = xp.arange(1, places // rows + 1, dtype=xp.int32)
    ends = xp.reshape(row, (-1, rows))[:, -1]
    turns = (ends >= 0) & (ends < length) & (number * rows % mini_batch == 0)

    def block(s: State, slot: Tree) -> tuple[State, Array]:
        u, (begins, used), turns = slot
        after, out = body(s, u, begins, used)
        return select(turns, turned(after), after), out

    blocks = {name: place(x) for name, x in inputs.items()}
    state, out = fold(checkpoint(block, state), state, (blocks, flags, turns), places // rows)
    out = out_of_chunks(out, axis, places)
    return state, xp.take(out, xp.arange(length, dtype=xp.int32) - row[0], axis=axis)


def sequences(begins: Starts, used: Array) -> tuple[Array, Array, Array]:
    """``(first, last, pairs)`` of C rows: which belong to the sequence that enters, and to the one that
    leaves, ``(*batch, C)``; whether row s is in row t's past, ``(*batch, C, C)``."""
    xp = namespace(used)
    number = xp.zeros_like(xp.astype(used, xp.int32)) if begins is None else segments(begins)
    i = xp.arange(used.shape[-1])
    pairs = (number[..., :, None] == number[..., None, :]) & (i[:, None] >= i)
    return number == 0, number == number[..., -1:], pairs


def finite_rows(*arrays: Array) -> Array:
    """Whether a row ``(..., C)`` has only finite numbers in all the arrays ``(..., C, n)``."""
    found = all_finite(arrays[0], arrays[0].ndim - 1)
    for x in arrays[1:]:
        found = found & all_finite(x, x.ndim - 1)
    return found


def spoiled(wrong: Array, begins: Starts, out: Array, after: State) -> tuple[Array, State]:
    """``out (*batch, H, C, ...)`` and the state, NaN from a row that is ``wrong (*batch, H, C)`` to the end
    of its sequence."""
    xp = namespace(wrong)
    if not is_jax(wrong) and not xp.any(wrong):
        return out, after
    starts = None if begins is None else begins[..., None, :]
    seen = seen_so_far(wrong, xp.zeros_like(wrong[..., 0]), starts, wrong.ndim - 1)
    return poison(seen, out), poison(seen[..., -1], after)
