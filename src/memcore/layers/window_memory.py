"""The fields of a model of attention over a window and a neural memory, with the same heads."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.backend import as_draw
from memcore.cell import Key, Model, Params
from memcore.fields import count, number
from memcore.types import Dtype


@dataclass(frozen=True)
class WindowMemory(Model):
    """A subclass says what its ``parts`` are."""

    heads: int = count(4)
    window: int = count(64)
    persistent: int = count(4)
    depth: int = count(2)
    hidden_size: int | None = count(None)
    mini_batch: int = count(8)
    conv_size: int = count(4, least=2)
    rate: float = number(0.1, above=0)
    max_grad_norm: float | None = number(10.0, above=0, optional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.parts

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        return {name: part.init(draw.child(name)) for name, part in self.parts.items()}
