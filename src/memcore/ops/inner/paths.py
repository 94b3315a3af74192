"""What rows write into a memory with momentum and forgetting, and how much of it later rows see."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.backend import namespace
from memcore.cell import Array, State


@dataclass(frozen=True)
class Paths:
    """What reaches row t of C: of the weights and the momentum that its sequence entered with, ``(..., H, C,
    1)``, and of what row s wrote into the weights, ``(..., H, C, C)``, and into the last momentum."""

    kept: Array
    carried: Array
    written: Array
    speed: Array
    """``(..., H, C)``: from row s to the momentum behind the last row."""
    coasted: Array
    """``(..., H, 1, 1)``: from the momentum before the rows to the one behind them."""
    pairs: Array
    """``(..., 1, C, C)``: whether row s is in row t's past."""

    @classmethod
    def of(cls, gates: Array, counts: Array, first: Array, pairs: Array) -> Paths:
        """From ``rate, momentum, forget (..., H, C, 3)``; a row that does not count leaves all as it is."""
        xp = namespace(gates)
        one = xp.ones_like(gates[..., 0])
        rate = xp.where(counts, gates[..., 0], 0 * one)
        eta = xp.where(counts, gates[..., 1], one)
        keep = xp.where(counts, 1 - gates[..., 2], one)
        pairs = pairs[..., None, :, :]
        weight, speed = (_between(x, pairs) for x in (keep, eta))
        # a row is its sequence's first among these where no earlier one is in its past
        begins = xp.sum(xp.astype(pairs, one.dtype), axis=-1) == 1
        begins = xp.broadcast_to(begins, one.shape)
        counted = xp.where(counts[..., None, :], weight, xp.zeros_like(weight))
        kept = weight @ xp.where(begins, keep, 0 * one)[..., None]
        coasting = speed @ xp.where(begins, eta, 0 * one)[..., None]
        old = first[..., None, :, None]
        coasting = xp.where(old, coasting, xp.zeros_like(coasting))
        return cls(
            kept,
            counted @ coasting,
            counted @ speed * rate[..., None, :],
            speed[..., -1, :] * rate,
            coasting[..., -1:, :],
            pairs,
        )

    def writes(self, products: Array) -> Array:
        """``written`` times ``x_t . x_s (..., H, C, C)``, and 0 where row s is not in row t's past: what is
        infinite there stays there."""
        xp = namespace(products)
        return self.written * xp.where(self.pairs, products, xp.zeros_like(products))

    def end(self, entered: State, xs: list[Array], ds: list[Array]) -> State:
        """The state behind the last row."""
        kept, carried = self.kept[..., -1:, :], self.carried[..., -1:, :]
        weights, momentum = [], []
        layers = zip(entered["weights"], entered["momentum"], xs, ds, strict=True)
        for w, s, x, d in layers:
            weights.append(
                kept * w + carried * s - (x * self.written[..., -1, :][..., None]).mT @ d
            )
            momentum.append(self.coasted * s - (x * self.speed[..., None]).mT @ d)
        return {**entered, "weights": tuple(weights), "momentum": tuple(momentum)}


def _between(factor: Array, pairs: Array) -> Array:
    """``prod of f_j for s < j <= t`` of allowed pairs, else 0: ``(..., C)`` to ``(..., C, C)``."""
    xp = namespace(factor)
    i = xp.arange(factor.shape[-1])
    steps = xp.where(i[:, None] > i, factor[..., :, None], xp.ones_like(factor[..., None]))
    product = xp.cumulative_prod(steps, axis=-2)
    return xp.where(pairs, product, xp.zeros_like(product))
