"""A sequence whose consecutive pieces are on the devices of an axis, one behind the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

from memcore.backend.jax_collectives import every_device, everywhere, gathered, of_one_before
from memcore.backend.jax_placement import common
from memcore.types import Array, Element, State, Tree


@dataclass(frozen=True)
class Chain:
    """What a piece, its time leading, is told of the others. Without an axis it is the whole sequence.

    With ``backwards`` the sequence is read from its end, and so the last device has the first piece.
    """

    axis_name: str | None = None
    backwards: bool = False

    @property
    def reversed(self) -> Chain:
        """The same sequence from its end; the pieces have to be flipped as well."""
        return replace(self, backwards=not self.backwards)

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)

    @property
    def index(self) -> Array:
        """Which of them this one is."""
        if self.axis_name is None:
            return jnp.int32(0)
        index = jax.lax.axis_index(self.axis_name).astype(jnp.int32)
        return self.count - 1 - index if self.backwards else index

    def before(self, first: Array, last: Array) -> Array:
        """What stands before this piece: ``first``, or the ``last`` of the piece before it."""
        if self.axis_name is None:
            return first
        arrived = of_one_before(last, self.axis_name, self.backwards)
        return jnp.where(self.index == 0, first, arrived)

    def shift(self, first: Array, states: Array) -> Array:
        """``states`` a step later."""
        return jnp.concat([self.before(first, states[-1])[None], states[:-1]])

    def follow(
        self, compose: Callable[[Tree, Tree], Tree], prefixes: Element, identity: Element
    ) -> Element:
        """The prefixes of a piece, behind the elements of all pieces before it: one gather of elements."""
        if self.axis_name is None:
            return prefixes
        every = self._gathered(jax.tree.map(lambda leaf: leaf[-1], prefixes), self.axis_name)
        index = self.index

        def enter(before: Element, slot: Tree) -> tuple[Element, None]:
            number, element = slot
            after = compose(before, element)
            return jax.tree.map(lambda a, b: jnp.where(number < index, a, b), after, before), None

        begin, _ = common((identity, every))  # a fold carries one kind of array
        begin, _ = jax.lax.scan(enter, begin, (jnp.arange(self.count, dtype=jnp.int32), every))
        return compose(jax.tree.map(lambda leaf: leaf[None], begin), prefixes)

    def all(self, flag: Array) -> Array:
        """Whether it holds in every piece, of the rows of all devices."""
        return flag if self.axis_name is None else everywhere(flag, self.axis_name)

    def mean(self, number: Array) -> Array:
        """Over all pieces, which have one length, of the rows of all devices."""
        return number if self.axis_name is None else jnp.mean(every_device(number, self.axis_name))

    def in_turn(self, run: Callable[[State], Tree], state: State) -> Tree:
        """``run`` over one piece after the other, each from where the one before it ended.

        Every device runs its piece in every turn: in turn n the first n + 1 pieces are right.
        """
        if self.axis_name is None:
            return run(state)
        return jax.lax.fori_loop(
            1, self.count, lambda _, states: run(self.before(state, states[-1])), run(state)
        )

    def _gathered(self, tree: Tree, axis_name: str) -> Tree:
        """``(count, *leaf)`` in the order of the chain."""
        every = gathered(tree, axis_name)
        return jax.tree.map(lambda leaf: leaf[::-1], every) if self.backwards else every
