"""A model of one recurrence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from memcore import engine
from memcore.backend import Draw
from memcore.cell.embedded import guarded_step
from memcore.cell.model import Model
from memcore.engine import Call
from memcore.types import Array, Inputs, Params, Reads, Starts, State, Tree


@dataclass(frozen=True)
class Cell(Model):
    """A model of one recurrence, in four parts.

        u_t = embed(params, x_t)            pointwise in time, for all steps at once
        h_t = step(params, h_{t-1}, u_t)    the recurrence
        r_t = read(params, h_t, u_t)        what is read from the memory, inside the fold
        y_t = output(params, r_t, u_t)      pointwise in time, for all steps at once

    All take any leading axes. Leaves of the embedded inputs keep the leading axes of ``xs``; one that
    is constant in time may have length 1 there.
    """

    single: ClassVar[bool] = True
    reads_previous: ClassVar[bool] = False
    """Whether `read` is given ``h_{t-1}`` in place of ``h_t``."""
    returns_states: ClassVar[bool] = False
    """Whether what `fused` reads are the states."""
    widens: ClassVar[bool] = False
    """Whether the step makes of its inputs what is much wider than they are."""
    embeds_late: ClassVar[bool] = False
    """Whether `fused` takes what is embedded as well, ``xs``, and may embed it some steps at a time."""
    in_pieces: ClassVar[bool] = False
    """Whether pieces of a sequence run side by side: each is an element, of one size whatever its length."""
    rule_name: ClassVar[str] = ""
    """The row of the table behind ``method="auto"``."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:  # the engine calls what was written, a user what checks first
            cls._step = cls.__dict__["step"]
            cls.step = guarded_step(cls._step)  # type: ignore[method-assign]

    @property
    def causal(self) -> bool:
        return True

    @property
    def grid(self) -> int:
        return 1

    @property
    def has_turn(self) -> bool:
        """Whether the cell updates itself at the end of every segment of its grid."""
        return type(self).turn is not Cell.turn

    @property
    def methods(self) -> tuple[str, ...]:
        has_fused = type(self).fused is not Cell.fused
        fused, newton = ("fused",) if has_fused else (), () if self.has_turn else ("newton",)
        return ("sequential", *fused, *newton)

    def recurrences(self, prefix: str = "") -> Iterator[tuple[str, Cell]]:
        yield prefix + (self.rule_name or type(self).__name__), self

    def embed(self, params: Params, x: Array) -> Inputs:
        """``(..., in_features)`` to a tree of ``(..., *leaf)``: all that the step needs of ``x``."""
        return x

    def perturb(self, params: Params, inputs: Inputs, key: Draw) -> Inputs:
        """The embedded inputs with randomness in them, where a run has a key: dropout of the recurrence,
        noise of the process."""
        return inputs

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        """The next state, from inputs as `embed` gives them. One time step of a model is `memcore.step`."""
        raise NotImplementedError

    _step = step

    def read(self, params: Params, state: State, inputs: Inputs) -> Reads:
        """What is read from the memory; by default the state itself."""
        return state

    def output(self, params: Params, read: Reads, inputs: Inputs) -> Array:
        """``(..., out_features)`` from what was read; by default that itself."""
        return read

    def turn(self, params: Params, state: State) -> State:
        """The state after the last step of a segment of the grid, padding too; with a grid of 1 after
        every step."""
        return state

    def moves(
        self, params: Params, inputs: Inputs
    ) -> tuple[Callable[[State], State], Callable[[State], Reads]]:
        """``step`` and ``read`` as functions of the state alone, at one step."""
        return (
            lambda h: self._step(params, h, inputs),
            lambda h: self.read(params, h, inputs),
        )

    def fused(
        self,
        params: Params,
        state: State,
        inputs: Inputs,
        starts: Starts,
        *,
        initial: State = None,
        valid: Array = None,
        chunk_size: int | None = None,
    ) -> tuple[State, Reads]:
        """Optional: ``(state, reads)`` of a whole sequence in a form of its own.

        ``state`` has the batch axes; ``starts`` and ``valid`` are ``(*batch, T)`` bool or None;
        ``initial`` is the state at starts, with or without batch axes. A cell on a grid is given
        ``phase`` as well, the place of the first step.
        """
        raise NotImplementedError

    def _apply(
        self, params: Params, xs: Array, state: State, initial: State, call: Call
    ) -> tuple[Tree, ...]:
        return engine.run_cell(self, params, xs, state, initial, call)
