"""What the loop asks of a framework."""

from typing import Protocol

import jax
import optax

from memcore.cell import Model
from memcore.tasks import Batch
from memcore.train.devices.placement import ONE_DEVICE, Placement
from memcore.train.objective.objective import Objective, Sums
from memcore.types import Params, State, Tree


class Learner(Protocol):
    """Parameters and optimizer state of one framework, and its two jitted functions."""

    model: Model
    carry: Tree
    """The model's state, which the next batch goes on from; None where every batch begins afresh."""

    def __init__(
        self,
        model: Model,
        params: Params,
        optimizer: optax.GradientTransformation,
        objective: Objective,
        placement: Placement = ONE_DEVICE,
    ) -> None: ...

    def step(self, batch: Batch) -> Sums:
        """One update of the parameters; the sums are those before it, with the norms of the update."""
        ...

    def evaluate(self, batch: Batch) -> Sums:
        """The sums on a batch."""
        ...

    @property
    def params(self) -> Params:
        """The parameters as the core's nested dict."""
        ...

    @params.setter
    def params(self, params: Params) -> None: ...

    @property
    def memory(self) -> State:
        """The state of the optimizer: a tree of arrays."""
        ...

    @property
    def state(self) -> State:
        """All that training changes: a tree of arrays, parameters and optimizer state."""
        ...

    @state.setter
    def state(self, tree: Tree) -> None: ...


def refill(tree: Tree, leaves: list[jax.Array]) -> Tree:
    """`tree` with other leaves."""
    return jax.tree.unflatten(jax.tree.structure(tree), leaves)
