"""What the memories of Miras share (arXiv:2504.13173): a matrix per head, trained by a loss and a way to
forget of their own, one step at a time, and read after it is written.

    e_t = k_t W_{t-1} - v_t,   W_t from W_{t-1}, keep_t, and rate_t k_t^T g(e_t),   o_t = q_t W_t
"""

from __future__ import annotations

from dataclasses import dataclass

from memcore.cell import Array, Inputs, Params, State
from memcore.engine.call import Call
from memcore.engine.checks import as_array
from memcore.nn import wide
from memcore.ops.arguments import as_floats
from memcore.ops.inner.rule import InnerRule, run_inner


@dataclass(frozen=True)
class MirasRule(InnerRule):
    """Inputs ``q, k, v (..., H, D)`` and gates ``(..., H)``; the parameter and the state are ``weight``
    ``(H, D, D)``."""

    def initial_state(self, params: Params) -> State:
        return params["weight"]

    def matrix(self, state: State) -> Array:
        """W, which maps keys to values."""
        return state

    def slope(self, error: Array, inputs: Inputs) -> Array:
        """``g``: the gradient of the loss in ``k W``, ``(..., H, 1, D)`` like the error."""
        raise NotImplementedError

    def kept(self, state: State, written: Array, inputs: Inputs) -> State:
        """The next state, from what is to be subtracted, ``rate_t k_t^T g_t``."""
        return inputs["keep"][..., None, None] * state - written

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        u = {name: wide(x) for name, x in inputs.items()}
        k = u["k"][..., None, :]
        error = k @ self.matrix(state) - u["v"][..., None, :]
        written = k.mT @ (u["rate"][..., None, None] * self.slope(error, u))
        return self.kept(state, written, u)

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        return (wide(inputs["q"])[..., None, :] @ self.matrix(state))[..., 0, :]


def run_miras(
    rule: MirasRule, inputs: dict[str, Array], weight: Array, state: State, call: Call
) -> tuple[State, Array]:
    """Check the weight and run."""
    q = inputs["q"]
    weight = as_floats("weight", as_array(weight), 3, "(..., H, D, D)")
    heads, size = q.shape[-2:]
    if tuple(weight.shape[-3:]) != (heads, size, size) or weight.ndim > q.ndim:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}, expected (..., {heads}, {size}, {size}) to match q "
            f"{tuple(q.shape)}"
        )
    return run_inner(rule, {"weight": weight}, inputs, state, call)
