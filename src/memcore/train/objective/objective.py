"""What is minimised and what is reported, as sums, so that batches of any size add up exactly."""

import functools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from memcore.tasks.base.task import IGNORED
from memcore.tasks.signals.pose import pose_loss
from memcore.train.objective.config import Precision
from memcore.types import Tree

Sums = dict[str, jax.Array]


def _squared_hinge(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """Sum over the classes of ``max(0, 1 - s)^2``, s the score, negated for all but the target."""
    signs = 2.0 * jax.nn.one_hot(targets, scores.shape[-1], dtype=scores.dtype) - 1.0
    return jnp.sum(jnp.square(jax.nn.relu(1.0 - signs * scores)), axis=-1)


def _mse(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return jnp.mean(jnp.square(outputs - targets), axis=-1)


LOSSES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "cross_entropy": optax.softmax_cross_entropy_with_integer_labels,
    "squared_hinge": _squared_hinge,
    "mse": _mse,
    "pose": pose_loss,
}
"""Loss per step, ``(B, T, out), targets -> (B, T)``, by the name that a task gives."""

CLASSES = ("cross_entropy", "squared_hinge")


@dataclass(frozen=True)
class Objective:
    """A task's loss, and the precision in which the model computes.

    With ``bfloat16`` the inputs are rounded, and with them what the model computes from them (tokens
    have nothing to round: see `Config.computing`); its parameters, its states, the loss and the
    optimizer stay float32.
    """

    loss: str = "cross_entropy"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}, expected one of {', '.join(LOSSES)}")

    def inputs(self, xs: jax.Array) -> jax.Array:
        """Inputs in the precision of the computation."""
        if self.precision == "float32" or jnp.issubdtype(xs.dtype, jnp.integer):
            return xs
        return xs.astype(self.precision)

    def sums(
        self,
        outputs: jax.Array,
        targets: jax.Array,
        weights: jax.Array,
        sizes: jax.Array | None = None,
    ) -> Sums:
        """Weighted sums over a batch.

        outputs (B, T, out), targets (B, T) ints or (B, T, out) floats, weights (B, T). Returns
        scalars: `loss`; `score`, the number of right classes, or the loss again where the targets
        are no classes; and `weight`, by which to divide both. With `sizes` (B, T), bytes that the targets
        stand for, `score` is the loss in bits, and `size`, their sum, is what to divide it by. Steps of
        weight zero, and those whose class is `IGNORED`, are left out, whatever outputs and targets hold
        there.
        """
        counts = jnp.asarray(weights) != 0
        if self.loss in CLASSES:
            counts = counts & (jnp.asarray(targets) != IGNORED)
        # Chosen before the loss and not weighed after it: 0 * nan is nan, in a gradient as well.
        outputs = jnp.where(counts[..., None], outputs.astype(weights.dtype), 0)
        targets = jnp.where(
            counts if targets.ndim == counts.ndim else counts[..., None], targets, 0
        )
        weights = jnp.where(counts, weights, 0)
        losses = LOSSES[self.loss](outputs, targets)
        scores = losses if sizes is None else losses / math.log(2)
        if self.loss in CLASSES and sizes is None:
            chosen = jnp.argmax(outputs, axis=-1).astype(targets.dtype)
            scores = (chosen == targets).astype(weights.dtype)
        total = {
            "loss": jnp.sum(losses * weights),
            "score": jnp.sum(scores * weights),
            "weight": jnp.sum(weights),
        }
        return total if sizes is None else {**total, "size": jnp.sum(sizes * weights)}

    def run(self, apply: Callable[..., Any], batch: Tree, carry: Tree) -> tuple[Tree, Tree]:
        """``apply(xs, state, starts=...)`` on a batch: the loss, and ``(sums, the state after it)``.

        The loss is 0 where no step of the batch counts.
        """
        after, outputs = apply(self.inputs(batch["xs"]), carry, starts=batch["starts"])
        total = self.sums(outputs, batch["targets"], batch["weights"], batch.get("bytes"))
        counted = jnp.where(total["weight"] > 0, total["weight"], 1.0)
        return total["loss"] / counted, (total, None if carry is None else after)


def norms(gradients: Tree, before: Tree, after: Tree) -> Sums:
    """The norms of an update's gradient, and of the change of the parameters; trees of the same leaves."""
    changes = [b - a for a, b in zip(*map(jax.tree.leaves, (before, after)), strict=True)]
    return {"gradient_norm": _norm(gradients), "update_norm": _norm(changes)}


def _norm(tree: Tree) -> jax.Array:
    squares = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(functools.reduce(operator.add, squares))
