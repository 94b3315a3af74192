"""A cell whose recurrence is associative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import is_floating, namespace, tree_leaves
from memcore.cell.cell import Cell
from memcore.cell.embedded import embedded
from memcore.engine import Call
from memcore.engine.prefix import total
from memcore.engine.recurrence import Recurrence
from memcore.engine.state import memory_like
from memcore.types import Array, Element, Inputs, Params, Starts, State


@dataclass(frozen=True)
class Memoroid(Cell):
    """A cell whose recurrence is associative.

    One step is an element of a semigroup (`lift`), elements combine (`binary_op`) and act on a state
    (`act`). An element is not a state: for ``S' = M S + X`` the element is ``(M, X)``, the state S.
    """

    in_pieces: ClassVar[bool] = True
    reach: ClassVar[int | None] = None
    """After how many valid steps nothing is left of the state before them; None where something may be."""

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
        with it is running the piece. A window's element has no more places than the piece has steps.
        """
        owns = self.ranks(inputs)
        leads = [u.shape[: u.ndim - own] for u, own in zip(tree_leaves(inputs), owns, strict=True)]
        shape = tuple(max(sizes) for sizes in zip(*leads, strict=True))
        floats = [leaf for leaf in tree_leaves(inputs) if is_floating(leaf)]
        like = (floats or tree_leaves(inputs))[0]
        dtype = like.dtype if floats else namespace(like).float32
        state = memory_like(self, params, like, shape[:-1], dtype)
        job = Recurrence(self, params, inputs, state, None, Call(starts, valid), shape)
        return self.element(job)

    def ranks(self, inputs: Inputs) -> list[int]:
        """The axes of one step of every leaf of the embedded inputs."""
        return [len(shape) for shape in embedded(self)[1]]

    def element(self, job: Recurrence) -> tuple[Array, Array, Element]:
        """A run as one element, as `total`; a cell may have a faster way."""
        return total(job)
