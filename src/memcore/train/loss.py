"""Cross-entropy and accuracy as sums, so that batches of any size add up exactly."""

import jax
import jax.numpy as jnp
import optax

Sums = dict[str, jax.Array]


def sums(logits: jax.Array, targets: jax.Array, weights: jax.Array) -> Sums:
    """Weighted sums over a batch.

    logits (B, T, C), targets (B, T) ints below C, weights (B, T). Returns scalars: `loss`, the
    cross-entropy in nats; `correct`; and `weight`, by which to divide both.
    """
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    hits = (jnp.argmax(logits, axis=-1) == targets).astype(weights.dtype)
    return {
        "loss": jnp.sum(losses * weights),
        "correct": jnp.sum(hits * weights),
        "weight": jnp.sum(weights),
    }


def mean_loss(logits: jax.Array, targets: jax.Array, weights: jax.Array) -> tuple[jax.Array, Sums]:
    """The loss to differentiate, and the sums beside it."""
    total = sums(logits, targets, weights)
    return total["loss"] / total["weight"], total
