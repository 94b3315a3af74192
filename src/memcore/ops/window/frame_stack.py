"""The last W items side by side: what a convolution or an attention of its own kind would read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import namespace
from memcore.cell import Array, Inputs, State
from memcore.ops.window.window import Window


@dataclass(frozen=True)
class Frames(Window):
    """Inputs ``x (..., N)``; read are ``length`` of them, oldest first, zeros where there is none:
    ``(..., length * N)``."""

    names: ClassVar[tuple[str, ...]] = ("x",)
    state_ndim: ClassVar[int] = 2
    rule_name: ClassVar[str] = "frame_stack"

    def read(self, state: State, inputs: Inputs) -> Array:
        items, filled = state
        xp = namespace(items)
        items = xp.where(filled[..., None], items, xp.zeros_like(items))
        return xp.reshape(items, (*items.shape[:-2], items.shape[-2] * items.shape[-1]))

    def block(
        self, weights: dict[str, Array], line: list[Array], others: dict[str, Array]
    ) -> Array:
        x, number = line
        xp, size = namespace(x), x.shape[-2] - self.length
        own, frames = number[..., self.length :, :], []
        for j in range(1, self.length + 1):
            item = x[..., j : j + size, :]
            same = number[..., j : j + size, :] == own
            frames.append(xp.where(same, item, xp.zeros_like(item)))
        return xp.concat(frames, axis=-1)
