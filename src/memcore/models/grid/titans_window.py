"""What Titans' memory beside attention and its memory before attention share."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.backend import as_draw
from memcore.cell import Key, Model, Params
from memcore.fields import count, number
from memcore.models.inner.neural_memory import NeuralMemory
from memcore.models.window.attention import Attention
from memcore.types import Dtype


@dataclass(frozen=True)
class TitansWindow(Model):
    """Attention over a window, with persistent tokens, and a neural memory, with the same heads."""

    heads: int = count(4)
    window: int = count(64)
    persistent: int = count(4)
    depth: int = count(2)
    hidden_size: int | None = count(None)
    mini_batch: int = count(8)
    conv_size: int = count(4, least=2)
    rate: float = number(0.1, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.parts

    @property
    def parts(self) -> dict[str, Model]:
        width, heads = self.in_features, self.heads
        memory = NeuralMemory(
            width, heads, self.depth, self.hidden_size, self.mini_batch, self.conv_size, self.rate
        )
        attention = Attention(width, heads, self.window, persistent=self.persistent)
        return {"attention": attention, "memory": memory}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        return {name: part.init(draw.child(name)) for name, part in self.parts.items()}
