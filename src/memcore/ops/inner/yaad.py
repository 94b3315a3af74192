"""Yaad: a memory that outliers cannot overwrite, by a loss that is robust.

W_t = keep_t W_{t-1} - rate_t k_t^T g_t,   e_t = k_t W_{t-1} - v_t
g_t = 2 e_t where |e_t| <= threshold_t, else threshold_t sgn(e_t)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import namespace
from memcore.cell import Array, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.fields import choice
from memcore.ops.inner.miras import MirasRule, run_miras
from memcore.ops.inner.rule import headed

LOSSES = ("switched", "norm", "coordinate")


@dataclass(frozen=True)
class YaadRule(MirasRule):
    """Inputs ``q, k, v (..., H, D)`` and ``rate, keep, threshold (..., H)``; the state is W ``(H, D, D)``."""

    loss: str = choice("switched", *LOSSES)

    rule_name: ClassVar[str] = "yaad"

    def slope(self, error: Array, inputs: Inputs) -> Array:
        xp, threshold = namespace(error), inputs["threshold"][..., None, None]
        if self.loss == "coordinate":
            return xp.minimum(xp.maximum(error, -threshold), threshold)
        square = xp.sum(error * error, axis=-1, keepdims=True)
        inside = square <= threshold * threshold
        if self.loss == "switched":
            return xp.where(inside, 2.0 * error, threshold * xp.sign(error))
        size = xp.sqrt(xp.where(inside, xp.ones_like(square), square))
        return xp.where(inside, error, threshold * error / size)


def yaad(
    q: Array,
    k: Array,
    v: Array,
    rate: Array,
    keep: Array,
    threshold: Array,
    weight: Array,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    loss: str = "switched",
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """Yaad with a linear memory (Miras, arXiv:2504.13173, equation 26), token by token, read after write.

        W_t = keep_t W_{t-1} - rate_t k_t^T g_t,   out_t = q_t W_t,   e_t = k_t W_{t-1} - v_t

    ``g`` is the gradient of a loss that grows linearly where the error is large:

    - ``"switched"``, as equation 26 has it: ``2 e`` where ``|e| <= threshold``, else ``threshold sgn(e)``,
      elementwise; it jumps at the threshold.
    - ``"norm"``, Huber's loss of the norm: ``e``, scaled to the norm ``threshold`` where it is larger.
    - ``"coordinate"``, Huber's loss of each coordinate: ``e`` clipped to ``threshold``.

    Args:
        q: ``(..., T, H, D)`` queries.
        k: ``(..., T, H, D)`` keys, used as given; of norm 1 for a stable memory.
        v: ``(..., T, H, D)`` values.
        rate: ``(..., T, H)`` inner learning rates, eta.
        keep: ``(..., T, H)`` in [0, 1], alpha: what multiplies the old weights.
        threshold: ``(..., T, H)`` positive, delta.
        weight: ``(..., H, D, D)``, the weights at starts.
        state: ``W (..., H, D, D)``; ``weight`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``weight``.
        valid: ``(..., T)`` bool: other steps leave the state as it is, and their output is 0.
        loss: ``"switched"``, ``"norm"`` or ``"coordinate"``.
        method: ``"auto"``, ``"sequential"`` or ``"fused"``, which keeps one state per chunk for the gradient.
        chunk_size: steps per chunk.

    Returns:
        ``(state, out)`` with ``out (..., T, H, D)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    inputs = headed(q, k, v, rate=rate, keep=keep, threshold=threshold)
    rule = YaadRule(inputs["q"].shape[-1], loss=loss)
    return run_miras(rule, inputs, weight, state, Call(starts, valid, method, chunk_size))
