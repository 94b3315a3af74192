"""Decays per key channel inside a chunk, by matmuls in which no decay exceeds 1.

A chunk is cut into blocks of 2, 4, 8, ... steps. A step of a block's second half sees one of its first
half through the border between them: the decay from j to i is that from j to the border times that from
the border to i. Each is the exponential of a running sum that begins at the border, so that the scores of
these pairs are one matmul of scaled rows and columns, with nothing divided by a decay (the secondary
chunks of gated linear attention, arXiv:2312.06635, at every width). Where a start lies between j and i the
product means nothing, and the mask of pairs removes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from memcore.backend import namespace
from memcore.cell import Array, State


@dataclass(frozen=True)
class ChannelDecays:
    """The decays inside a chunk of C steps, per key channel; the methods are those of `Decays`.

    Attributes:
        pairs: ``(..., C, C)`` bool: may step j speak to step i.
        rows: for blocks of 2w = 2, 4, ...: from the border to i, ``(..., blocks, w, K)``.
        columns: the same from j to the border.
        entry: from the entry of i's segment (or of the chunk) to i, ``(..., C, K)``.
        end: from j to the last step, ``(..., C, K)``; 0 outside the last segment.
    """

    pairs: Array
    rows: tuple[Array, ...]
    columns: tuple[Array, ...]
    entry: Array
    end: Array

    @classmethod
    def of(cls, log_decay: Array, pairs: Array) -> ChannelDecays:
        """From log decays ``(..., C, K)``."""
        xp, size = namespace(log_decay), log_decay.shape[-2]
        since, until = padded(log_decay), padded(xp.zeros_like(log_decay))
        own = padded(xp.sum(xp.astype(pairs, xp.int32), axis=-1, dtype=xp.int32)[..., None])
        rows, columns, width = [], [], 1
        while width < since.shape[-2]:
            early, late = halves(since, width)
            ahead, behind = halves(until, width)
            rows.append(xp.exp(late))
            columns.append(xp.exp(ahead))
            # sums over the block's steps of i's own segment, which may not reach across the border
            reaches = halves(own, width)[1] > xp.arange(1, width + 1, dtype=xp.int32)[:, None]
            before = xp.where(reaches, early[..., -1:, :], xp.zeros_like(late))
            since = joined(early, late + before)
            until = joined(ahead + late[..., -1:, :], behind)
            width *= 2
        entry, end = xp.exp(since[..., -size:, :]), xp.exp(until[..., -size:, :])
        end = xp.where(pairs[..., -1, :][..., None], end, xp.zeros_like(end))
        return cls(pairs, tuple(rows), tuple(columns), entry, end)

    def before(self) -> ChannelDecays:
        """`scores` and `since_entry` up to the step before i: what a read of the state before i sees."""
        xp = namespace(self.entry)
        i = xp.arange(self.pairs.shape[-1])
        strict = self.pairs & (i[:, None] > i)
        rows = tuple(delayed(x) for x in self.rows)
        continues = xp.any(strict, axis=-1)[..., None]
        entry = xp.where(continues, delayed(self.entry), xp.ones_like(self.entry))
        return ChannelDecays(strict, rows, self.columns, entry, self.end)

    def scores(self, q: Array, k: Array) -> Array:
        """``q_i . (decay from j to i) k_j`` of allowed pairs, else 0: ``(..., C, C)``."""
        xp, size = namespace(q), q.shape[-2]
        q, k = padded(q), padded(k)
        scores = xp.sum(q * k, axis=-1, keepdims=True)  # row i: what is known of its own block
        for row, column in zip(self.rows, self.columns, strict=True):
            width = row.shape[-2]
            across = (halves(q, width)[1] * row) @ (halves(k, width)[0] * column).mT
            first, second = halves(scores, width)
            first = xp.concat([first, xp.zeros_like(first)], axis=-1)
            scores = joined(first, xp.concat([across, second], axis=-1))
        scores = scores[..., -size:, -size:]
        return xp.where(self.pairs, scores, xp.zeros_like(scores))

    def since_entry(self, q: Array) -> Array:
        """``q (..., C, K)``, decayed from the entry of each step's segment (or of the chunk)."""
        return q * self.entry

    def to_end(self, k: Array) -> Array:
        """``k (..., C, K)``, decayed to the last step; 0 outside the last segment."""
        return k * self.end

    def state(self, memory: State, axes: int) -> State:
        """A memory whose last ``axes`` axes begin with K, decayed over the chunk's last segment."""
        kept = self.entry[..., -1, :]
        return memory * (kept[..., None] if axes == 2 else kept)


def padded(x: Array) -> Array:
    """``(..., C, K)`` with zeros before it, up to a power of two steps."""
    xp, size = namespace(x), x.shape[-2]
    missing = (1 << (size - 1).bit_length()) - size
    if not missing:
        return x
    return xp.concat([xp.zeros((*x.shape[:-2], missing, x.shape[-1]), dtype=x.dtype), x], axis=-2)


def halves(x: Array, width: int) -> tuple[State, Array]:
    """The halves of blocks of 2w steps: ``(..., C, K)`` to two of ``(..., blocks, w, K)``."""
    shape = (*x.shape[:-2], x.shape[-2] // (2 * width), 2, width, x.shape[-1])
    x = namespace(x).reshape(x, shape)
    return x[..., 0, :, :], x[..., 1, :, :]


def joined(first: Array, second: Array) -> Array:
    """Blocks from their halves: two of ``(..., blocks, w, K)`` to ``(..., C, K)``."""
    xp = namespace(first)
    x = xp.concat([first, second], axis=-2)
    return xp.reshape(x, (*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1]))


def delayed(x: Array) -> Array:
    """The decays of the step before, 1 at the first: along the second to last axis."""
    xp = namespace(x)
    return xp.concat([xp.ones_like(x[..., :1, :]), x[..., :-1, :]], axis=-2)
