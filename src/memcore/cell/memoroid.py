"""A cell whose recurrence is associative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import tree_leaves
from memcore.cell.cell import Cell
from memcore.cell.embedded import embedded
from memcore.engine import Call
from memcore.engine.methods import total
from memcore.engine.recurrence import Recurrence
from memcore.types import Array, Element, Inputs, Params, Starts, State


@dataclass(frozen=True)
class Memoroid(Cell):
    """A cell whose recurrence is associative.

    One step is an element of a semigroup (`lift`), elements combine (`binary_op`) and act on a state
    (`act`). An element is not a state: for ``S' = M S + X`` the element is ``(M, X)``, the state S.
    """

    in_pieces: ClassVar[bool] = True

    @property
    def methods(self) -> tuple[str, ...]:
        fused = type(self).fused is not Cell.fused
        return ("sequential", "associative", "chunked", *(("fused",) if fused else ()))

    def lift(self, params: Params, inputs: Inputs) -> Element:
        """One step as an element of the semigroup."""
        raise NotImplementedError

    def binary_op(self, params: Params, a: Element, b: Element) -> Element:
        """The element of ``a`` first, then ``b``; associative."""
        raise NotImplementedError

    def act(self, params: Params, state: State, element: Element) -> State:
        """Apply an element to a state."""
        raise NotImplementedError

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        return self.act(params, state, self.lift(params, inputs))

    def total(
        self, params: Params, inputs: Inputs, starts: Starts = None, valid: Array = None
    ) -> tuple[Array, Array, Element]:
        """A piece of a sequence as one element: ``(start, valid, element)``.

        Whether a start is in the piece ``(*batch,)``, whether it has a valid step behind the last one,
        and the element of what stands there; the first two are None where nothing was given. Acting
        with it is running the piece.
        """
        owns = self.ranks(inputs)
        leads = [u.shape[: u.ndim - own] for u, own in zip(tree_leaves(inputs), owns, strict=True)]
        shape = tuple(max(sizes) for sizes in zip(*leads, strict=True))
        return total(Recurrence(self, params, inputs, None, None, Call(starts, valid), shape))

    def ranks(self, inputs: Inputs) -> list[int]:
        """The axes of one step of every leaf of the embedded inputs."""
        return [len(shape) for shape in embedded(self)[1]]

    def element(self, job: Recurrence) -> tuple[Array, Array, Element]:
        """A run as one element, as `total`; a cell may have a faster way."""
        return total(job)
