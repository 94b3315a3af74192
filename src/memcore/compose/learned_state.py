"""A learned initial state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore.backend import as_draw, tree_flatten, tree_paths, tree_unflatten
from memcore.cell import Array, Key, Model, Params, State
from memcore.compose.wrapper import Wrapper
from memcore.engine import Parts
from memcore.registry import register
from memcore.types import Dtype


@register("learned_state")
@dataclass(frozen=True)
class LearnedState(Wrapper):
    """A model whose initial state is a parameter: it is what every sequence begins with.

    Counts and flags of the state are not learned. State: that of the model inside.

    Args:
        model: the model inside.
    """

    @property
    def parts(self) -> dict[str, Model]:
        return {"model": self.model}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        params = self.model.init(draw.child("model"))
        learned = {
            name: draw.array(leaf, label="recurrence")
            for name, leaf in tree_paths(self.model.initial_state(params))
            if np.dtype(str(leaf.dtype)).kind == "f"
        }
        # Paths of a nested state are names: "0/1" stands for state[0][1].
        return {"model": params, "initial": {k.replace("/", "."): v for k, v in learned.items()}}

    def initial_state(self, params: Params) -> State:
        learned = params["initial"]
        given = self.model.initial_state(params["model"])
        names = [name.replace("/", ".") for name, _ in tree_paths(given)]
        leaves, structure = tree_flatten(given)
        merged = [learned.get(name, leaf) for name, leaf in zip(names, leaves, strict=True)]
        return {"model": tree_unflatten(structure, merged)}

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        return run("model", params["model"], xs)
