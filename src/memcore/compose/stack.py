"""Models one behind the other."""

from __future__ import annotations

from dataclasses import dataclass, field

from memcore.backend import as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count
from memcore.registry import register
from memcore.types import Dtype


@register("stack")
@dataclass(frozen=True)
class Stack(Model):
    """A chain of models, each reading what the one before it gives, with nothing added.

        h_0 = x,    h_i = model_i(h_{i-1}),    y = h_n

    No residuals, norms or projections: torch's recurrent networks of several layers are this. State: a dict
    of the models' states, ``layer_0`` and so on. Cost: the sum of the models'.

    Args:
        models: the models, at least one; each as wide as what the one before it gives.
    """

    in_features: int = field(init=False, repr=False, metadata=count().metadata)
    models: tuple[Model, ...] = ()

    def __post_init__(self) -> None:
        models = self.models
        if not isinstance(models, tuple) or not models:
            raise TypeError(f"models is {models!r}, expected a tuple of at least one memcore.Model")
        if not all(isinstance(model, Model) for model in models):
            raise TypeError(f"models is {models!r}, expected memcore.Models")
        for i, (a, b) in enumerate(zip(models[:-1], models[1:], strict=True)):
            gives, reads = (a.out_features, a.output_ndim), (b.in_features, b.input_ndim)
            if gives != reads:
                raise ValueError(
                    f"models[{i + 1}] reads width {reads[0]} and {reads[1]} axes, expected width "
                    f"{gives[0]} and {gives[1]} axes, which models[{i}] gives"
                )
        object.__setattr__(self, "in_features", models[0].in_features)
        super().__post_init__()

    @property
    def out_features(self) -> int:
        return self.models[-1].out_features

    @property
    def input_ndim(self) -> int:
        return self.models[0].input_ndim

    @property
    def output_ndim(self) -> int:
        return self.models[-1].output_ndim

    @property
    def token_dtype(self) -> str | None:
        return self.models[0].token_dtype

    @property
    def parts(self) -> dict[str, Model]:
        return {f"layer_{i}": model for i, model in enumerate(self.models)}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        return {name: part.init(draw.child(name)) for name, part in self.parts.items()}

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        for name in self.parts:
            xs = run(name, params[name], xs)
        return xs
