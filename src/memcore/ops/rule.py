"""What the rules share: a rule is a memoroid on plain arrays, without parameters.

What a rule needs beside its inputs and its state, a kernel or sinks, is an input of length 1 in time and on
every batch axis; the rule names it in ``weights``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from memcore.backend import broadcast_like, cast, namespace, tree_leaves, tree_map, tree_paths
from memcore.backend.namespace import is_bfloat16
from memcore.cell import Array, Element, Inputs, Memoroid, Params, Starts, State
from memcore.engine.call import Call
from memcore.engine.chunking import CHUNK_SIZE, WIDENED
from memcore.engine.methods import in_chunks, recur, sequential
from memcore.engine.prefix import flags, full, total, used
from memcore.engine.recurrence import Recurrence, job_of, part
from memcore.engine.resets import select
from memcore.ops.floor import at_least
from memcore.types import Dtype, Key, Reads, Tree

ALGEBRA = ("lift", "binary_op", "act", "step")
"""What of a cell says how its elements are made and what they do."""


@dataclass(frozen=True)
class Rule:
    """A memory rule on plain arrays.

    h_t = act(h_{t-1}, lift(u_t)) = step(h_{t-1}, u_t)
    r_t = read(h_t, u_t)
    """

    rule_name: ClassVar[str] = ""
    """The row of the table behind ``method="auto"``."""
    state_ndim: ClassVar[int] = 1
    """Axes of the first leaf of the state, without the batch's: so any rank finds its time axis."""
    weights: ClassVar[tuple[str, ...]] = ()
    """Inputs that are constant: of length 1 in time and on every batch axis."""
    causal: ClassVar[bool] = True
    reads_previous: ClassVar[bool] = False
    """Whether `read` is given ``h_{t-1}`` in place of ``h_t``."""
    returns_states: ClassVar[bool] = False
    """Whether what is read are the states."""
    in_pieces: ClassVar[bool] = True
    """Whether a piece of a sequence is an element of one size, whatever its length."""
    reach: ClassVar[int | None] = None
    """After how many valid steps nothing is left of the state before them; None where something may be."""
    saturates: ClassVar[bool] = False
    """Whether outputs may be the floor, which float16 cannot hold: they become its lowest number."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the rule can run."""
        fused = type(self).fused is not Rule.fused
        return ("sequential", "associative", "chunked", *(("fused",) if fused else ()))

    def zeros(self, inputs: Inputs) -> State:
        """The empty state, mostly zeros: unbatched NumPy arrays, for inputs of these shapes."""
        raise NotImplementedError

    def empty(self, inputs: Inputs) -> State:
        """The state from which a run leaves what it writes, as an element has it; mostly `zeros`."""
        return self.zeros(inputs)

    def lift(self, inputs: Inputs) -> Element:
        """One step as an element of the semigroup."""
        raise NotImplementedError

    def binary_op(self, a: Element, b: Element) -> Element:
        """The element of ``a`` first, then ``b``; associative."""
        raise NotImplementedError

    def act(self, state: State, element: Element) -> State:
        """Apply an element to a state."""
        raise NotImplementedError

    def step(self, state: State, inputs: Inputs) -> State:
        """The next state."""
        return self.act(state, self.lift(inputs))

    def read(self, state: State, inputs: Inputs) -> Reads:
        """What is read from the memory; by default the state itself."""
        return state

    def fused(
        self, state: State, inputs: Inputs, starts: Starts, *, initial: State = None,
        valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        """Optional: ``(state, reads)`` of a whole sequence without a state per step.

        ``state`` has the batch axes; ``starts`` and ``valid`` are ``(*batch, T)`` bool or None;
        ``initial`` is the state at starts, with or without batch axes, ``zeros`` if None.
        """
        raise NotImplementedError

    def transition(self, inputs: Inputs, used: Array) -> Element:
        """Optional, for elements ``(transition, written)``: what becomes of a state over the steps that are
        ``used (*batch, T)``, beside what they write; a product of decays."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether a piece is an element without a product of elements: the rule has a `transition`."""
        return type(self).transition is not Rule.transition

    def element(self, job: Recurrence) -> tuple[Array, Array, Element]:
        """A run as one element ``(start, valid, element)``: where `transition` is known, that and what a run
        from the empty state leaves."""
        if not self.closed:
            return total(job)
        written = self.written(job, full(self.empty(job.inputs), job))
        return (*flags(job), (self.transition(job.inputs, used(job)), written))

    def written(self, job: Recurrence, state: State) -> State:
        """What a run leaves of ``state``; behind a start, of `empty`."""
        initial = self.empty(job.inputs)
        how = {"params": {}, "state": state, "initial": initial}
        return recur(replace(job, cell=RulePart(1, self), **how))[0]

    def of(self, **shapes: tuple[int, ...]) -> RulePart:
        """The rule as a part of a composite, for inputs of these shapes (without batch and time)."""
        return RulePart(1, self, tuple(shapes.items()))


@dataclass(frozen=True)
class RuleCell(Memoroid):
    """A cell whose recurrence is one of the shared rules: it embeds, initialises and projects.

    What ``embed`` gives is small and made for all steps at once; `rule_inputs` may widen it to what the
    rule needs, inside the step or the chunk, so that what is wide is never there for all steps.
    """

    @property
    def rule(self) -> Rule:
        """The rule, with this cell's hyperparameters."""
        raise NotImplementedError

    def rule_inputs(self, params: Params, inputs: Inputs) -> Inputs:
        """What the rule is given, from what `embed` gave; `read` and `output` get the latter."""
        return inputs

    @property
    def rule_name(self) -> str:  # type: ignore[override]
        name = self.rule.rule_name
        return f"widened_{name}" if self.widens else name

    @property
    def widens(self) -> bool:  # type: ignore[override]
        """Whether the cell makes its rule's inputs inside the step or chunk."""
        return type(self).rule_inputs is not RuleCell.rule_inputs

    @property
    def reads(self) -> bool:
        """Whether the cell has a `read` of its own."""
        return type(self).read is not RuleCell.read

    @property
    def reads_previous(self) -> bool:  # type: ignore[override]
        return self.rule.reads_previous

    @property
    def in_pieces(self) -> bool:  # type: ignore[override]
        return self.rule.in_pieces

    @property
    def reach(self) -> int | None:  # type: ignore[override]
        return self.rule.reach

    @property
    def returns_states(self) -> bool:  # type: ignore[override]
        return self.rule.returns_states and not self.reads

    @property
    def methods(self) -> tuple[str, ...]:
        own = self.rule.methods
        more = ("fused",) if (self.widens or self.reads) and "fused" not in own else ()
        return (*own, *more)

    def lift(self, params: Params, inputs: Inputs) -> Element:
        return self.rule.lift(self.rule_inputs(params, inputs))

    def binary_op(self, params: Params, a: Element, b: Element) -> Element:
        return self.rule.binary_op(a, b)

    def act(self, params: Params, state: State, element: Element) -> State:
        return self.rule.act(state, element)

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        return self.rule.step(state, self.rule_inputs(params, inputs))

    def read(self, params: Params, state: State, inputs: Inputs) -> Reads:
        return self.rule.read(state, self.rule_inputs(params, inputs))

    def element(self, job: Recurrence) -> tuple[Array, Array, Element]:
        rule = self.rule
        if any(getattr(type(self), name) is not getattr(RuleCell, name) for name in ALGEBRA):
            return total(job, WIDENED if self.widens else CHUNK_SIZE)  # not the rule's
        if not self.widens:
            return rule.element(job)
        if not rule.closed:
            return total(job, WIDENED)

        def chunk(steps: Recurrence) -> tuple[State]:
            (kept, written), wide = steps.state, self.rule_inputs(steps.params, steps.inputs)
            own = rule.transition(wide, used(steps))
            both, _ = rule.binary_op((kept, written), (own, written))
            kept = select(flags(steps)[0], own, both)
            return ((kept, rule.written(replace(steps, inputs=wide), written)),)

        begin = part(job, 0, 1)
        first, none = self.rule_inputs(job.params, begin.inputs), used(begin) & False
        nothing = (rule.transition(first, none), full(rule.empty(first), job))
        return (*flags(job), in_chunks(replace(job, state=nothing), WIDENED, chunk)[0])

    def moves(
        self, params: Params, inputs: Inputs
    ) -> tuple[Callable[[State], State], Callable[[State], Reads]]:
        step, read = super().moves(params, inputs)
        if not self.widens:
            return step, read
        wide, rule = self.rule_inputs(params, inputs), self.rule  # once for both
        if type(self)._step is RuleCell._step:
            step = lambda h: rule.step(h, wide)  # noqa: E731
        return step, read if self.reads else lambda h: rule.read(h, wide)

    def fused(
        self, params: Params, state: State, inputs: Inputs, starts: Starts, *,
        initial: State = None, valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        rule = self.rule
        initial = self.initial_state(params) if initial is None else initial
        how: dict[str, Any] = {"initial": initial, "chunk_size": chunk_size}
        if not self.widens and not self.reads:
            return rule.fused(state, inputs, starts, valid=valid, **how)

        def closed(part: Recurrence) -> tuple[Array, ...]:
            wide, flags = self.rule_inputs(params, part.inputs), part.call
            state, found = rule.fused(part.state, wide, flags.starts, valid=flags.valid, **how)
            return state, self.read(params, found, part.inputs) if self.reads else found

        job = job_of(self, params, inputs, state, Call(starts, valid), initial)
        reads_states = rule.returns_states and not rule.reads_previous
        has_closed = "fused" in rule.methods and (reads_states or not self.reads)
        if has_closed and not self.widens:
            return closed(job)
        run = closed if has_closed else sequential
        state, reads = in_chunks(job, min(chunk_size or WIDENED, job.length), run)
        return state, reads


@dataclass(frozen=True)
class RulePart(RuleCell):
    """A rule as a part of a composite: its inputs are a dict of arrays.

    Args:
        in_features: not used.
        inner: the rule.
        shapes: names and shapes of its inputs, without batch and time.
    """

    inner: Rule = Rule()
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def rule(self) -> Rule:
        return self.inner

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        return {}

    def ranks(self, inputs: Inputs) -> list[int]:
        own = {name: len(shape) for name, shape in self.shapes}
        leaves = ((path.split("/")[0], leaf) for path, leaf in tree_paths(inputs))
        return [own[name] for name, _ in leaves]

    def initial_state(self, params: Params) -> State:
        return self.inner.zeros({n: np.broadcast_to(0.0, shape) for n, shape in self.shapes})

    def _apply(
        self, params: Params, xs: Array, state: State, initial: State, call: Call
    ) -> tuple[Tree, ...]:
        """``xs`` are the rule's inputs; the outputs have the dtype of the first one declared."""
        name, own = self.shapes[0]
        inputs = {key: x for key, x in xs.items() if x is not None}
        like = tree_leaves(inputs[name])[0]
        shape = tuple(like.shape[: like.ndim - len(own)])
        if call.watch is not None:
            call.watch(self, params, inputs)
        state, reads, *states = recur(Recurrence(self, {}, inputs, state, initial, call, shape))
        return (state, tree_map(lambda r: narrow(self.inner, r, like), reads), *states)


def narrow(rule: Rule, read: Array, like: Array) -> Array:
    """What was read in the dtype of ``like``; a floor that this cannot hold is its lowest number."""
    # bfloat16 holds the floor, and NumPy does not know its limits.
    if rule.saturates and read.dtype != like.dtype and not is_bfloat16(like.dtype):
        read = at_least(float(namespace(read).finfo(like.dtype).min), read)
    return cast(read, like.dtype)


def is_zero(tree: Tree) -> bool:
    """Whether a state is known to be zero: NumPy constants, which can be looked at while tracing."""
    return all(isinstance(leaf, np.ndarray) and not leaf.any() for leaf in tree_leaves(tree))


def fresh_state(initial: State, state: State, starts: Starts) -> State:
    """The state at starts with the shapes of ``state``; None for zeros, and where nothing starts."""
    if starts is None or initial is None or is_zero(initial):
        return None
    return broadcast_like(initial, state)
