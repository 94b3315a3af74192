"""Causal depthwise convolution, whose window is state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import cast, namespace
from memcore.cell import Array, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.nn import wide
from memcore.ops.arguments import as_floats
from memcore.ops.run import run_rule
from memcore.ops.window.window import Window
from memcore.types import Reads


@dataclass(frozen=True)
class CausalConvolution(Window):
    """``y_t = sum_j kernel_j x_{t - W + 1 + j}`` per channel; the state is the last W - 1 inputs.

    Inputs ``x (..., D)`` and the weights ``kernel (W, D)``.
    """

    names: ClassVar[tuple[str, ...]] = ("x",)
    weights: ClassVar[tuple[str, ...]] = ("kernel",)
    reads_previous: ClassVar[bool] = True
    rule_name: ClassVar[str] = "causal_convolution"

    def read(self, state: State, inputs: Inputs) -> Reads:
        items, filled = state
        x, xp = wide(inputs["x"]), namespace(items)
        kernel = cast(inputs["kernel"], x.dtype)
        items = xp.where(filled[..., None], items, xp.zeros_like(items))
        return xp.sum(items * kernel[..., :-1, :], axis=-2) + kernel[..., -1, :] * x

    def block(
        self, weights: dict[str, Array], line: list[Array], others: dict[str, Array]
    ) -> Array:
        """A sum of W shifted copies, without the items of other sequences."""
        (x, number), kernel = line, weights["kernel"]
        xp, size = namespace(x), x.shape[-2] - self.length
        kernel = xp.astype(kernel, x.dtype, copy=False)
        own = number[..., self.length :, :]
        out = kernel[-1, :] * x[..., self.length :, :]
        for j in range(self.length):
            item = x[..., j : j + size, :]
            item = xp.where(number[..., j : j + size, :] == own, item, xp.zeros_like(item))
            out = out + kernel[j, :] * item
        return out


def causal_convolution(
    x: Array,
    kernel: Array,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """Causal depthwise convolution over time; starts clear its window.

    The short convolution of Mamba (arXiv:2312.00752) and of the gated delta rule's networks.

    Args:
        x: ``(..., T, D)``.
        kernel: ``(W, D)`` with ``W >= 2``; ``kernel[-1]`` weighs the current input.
        state: ``(inputs (..., W - 1, D), filled (..., W - 1) bool)``, oldest first; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``initial``.
        valid: ``(..., T)`` bool: other steps take no place in the window, and their output is 0.
        initial: the window at each start; None is empty (zeros). With one that is not empty (on JAX: with
            any) and ``starts``, ``"fused"`` runs as ``"sequential"``.
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"``.
        chunk_size: steps per block of ``"fused"``, steps per chunk of ``"chunked"``.

    Returns:
        ``(state, y)`` with ``y (..., T, D)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    x = as_floats("x", x, 2, "(..., T, D)")
    kernel = as_floats("kernel", kernel, 0, "(W, D)")
    if kernel.ndim != 2 or kernel.shape[0] < 2 or kernel.shape[1] != x.shape[-1]:
        raise ValueError(
            f"kernel has shape {tuple(kernel.shape)}, expected (W, {x.shape[-1]}) with W >= 2 to "
            f"match x {tuple(x.shape)}"
        )
    rule = CausalConvolution(length=kernel.shape[0] - 1)
    call = Call(starts, valid, method, chunk_size)
    return run_rule(rule, {"x": x, "kernel": kernel}, "x", -2, state, initial, call)
