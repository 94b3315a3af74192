"""The optimizer: one transformation of optax for every framework's parameters."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from memcore.train.config import OptimizerOptions


def make_optimizer(
    options: OptimizerOptions, steps: int, labels: Any
) -> optax.GradientTransformation:
    """AdamW for `steps` steps.

    labels: `model.labels(params)`, a tree of names; trees that wrap the same parameters in the
    same order (a module, a state) fit as well.
    """
    warmup = min(round(options.warmup * steps), steps - 1)
    rate = optax.warmup_cosine_decay_schedule(0.0, options.learning_rate, warmup, steps)

    def labelled(name: str) -> Callable[[Any], Any]:
        return lambda params: _like(jax.tree.map(lambda label: label == name, labels), params)

    adamw = optax.chain(
        optax.clip_by_global_norm(options.clip),
        optax.scale_by_adam(),
        optax.add_decayed_weights(options.weight_decay, labelled("matrix")),
        optax.masked(optax.scale(options.recurrence_rate), labelled("recurrence")),
        optax.scale_by_learning_rate(rate),
    )

    def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        # optax mixes counts and floats, which a program may have forbidden.
        with jax.numpy_dtype_promotion("standard"):
            return adamw.update(gradients, state, params)

    return optax.GradientTransformation(adamw.init, update)


def _like(tree: Any, params: Any) -> Any:
    """`tree` in the structure of `params`, which has the same leaves in the same order."""
    return jax.tree.unflatten(jax.tree.structure(params), jax.tree.leaves(tree))
