"""Both directions of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from memcore.backend import as_draw, namespace
from memcore.cell import Array, Cell, Key, Model, Params, State
from memcore.compose.wrapper import Wrapper
from memcore.engine import Parts
from memcore.fields import choice
from memcore.registry import register
from memcore.types import Dtype


@register("backward")
@dataclass(frozen=True)
class Backward(Wrapper):
    """A model that reads every sequence from its end to its beginning.

    State: none; each run begins afresh at the end of every sequence.

    Args:
        model: the model inside; not one on a grid, whose places backwards would depend on T.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.grid > 1:
            raise ValueError(
                f"model is {self.model!r}, which works on a grid of {self.model.grid} steps: expected one "
                "without a grid, since its places backwards would depend on the length"
            )

    @property
    def parts(self) -> dict[str, Model]:
        return {"model": self.model}

    @property
    def causal(self) -> bool:
        return False

    def recurrences(self, prefix: str = "") -> Iterator[tuple[str, Cell]]:
        yield from self.model.recurrences(prefix)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        return self.model.init(as_draw(key, dtype))

    def initial_state(self, params: Params) -> State:
        return {}

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        return run.mirrored("model", params, xs)


@register("bidirectional")
@dataclass(frozen=True)
class Bidirectional(Wrapper):
    """A model run in both directions of time, each with parameters of its own.

        y_t = [forward(x)_t, backward(x)_t], or their sum

    Not causal: it needs whole sequences. State: that of the forward direction alone.

    Source: Schuster and Paliwal, Bidirectional Recurrent Neural Networks, 1997.

    Args:
        model: the model inside; not one on a grid.
        merge: ``"concat"`` puts both outputs side by side, ``"sum"`` adds them.
    """

    merge: str = choice("concat", "concat", "sum")

    def __post_init__(self) -> None:
        super().__post_init__()
        Backward(self.model)  # refuses a model on a grid

    @property
    def out_features(self) -> int:
        return self.model.out_features * (2 if self.merge == "concat" else 1)

    @property
    def parts(self) -> dict[str, Model]:
        return {"forward": self.model, "backward": Backward(self.model)}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        return {name: part.init(draw.child(name)) for name, part in self.parts.items()}

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        ahead = run("forward", params["forward"], xs)
        behind = run.backward("backward", params["backward"], xs)
        if self.merge == "sum":
            return ahead + behind
        return namespace(ahead).concat([ahead, behind], axis=-1)
