"""What the wrappers of one model share: they look from outside like the model inside."""

from __future__ import annotations

from dataclasses import dataclass, field

from memcore.cell import Model
from memcore.fields import count


@dataclass(frozen=True)
class Wrapper(Model):
    """A model around a model of the same inputs.

    Args:
        model: the model inside.
    """

    in_features: int = field(init=False, repr=False, metadata=count().metadata)
    model: Model = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not isinstance(self.model, Model):
            raise TypeError(f"model is {self.model!r}, expected a memcore.Model")
        object.__setattr__(self, "in_features", self.model.in_features)
        super().__post_init__()

    @property
    def out_features(self) -> int:
        return self.model.out_features

    @property
    def input_ndim(self) -> int:
        return self.model.input_ndim

    @property
    def output_ndim(self) -> int:
        return self.model.output_ndim

    @property
    def token_dtype(self) -> str | None:
        return self.model.token_dtype
