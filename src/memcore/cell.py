"""The contract: `Model`, `Cell`, `GatedCell` and `Memoroid`.

A model is a frozen dataclass. Its fields are hyperparameters, its methods are pure functions of their
arguments, and it holds no arrays: it hashes and compares by value, prints its own configuration,
pickles, and is a valid static argument of ``jax.jit``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, final

import numpy as np

from memcore import engine
from memcore.backend import Draw, tree_flatten, tree_leaves
from memcore.engine import METHODS, Call, Parts
from memcore.engine.methods import gated, total
from memcore.engine.parameters import label_of
from memcore.engine.parts import initial_states
from memcore.engine.recurrence import Recurrence
from memcore.fields import check_fields, count

Array: TypeAlias = Any
"""An array of NumPy, JAX, or any library of the array API standard."""
Params: TypeAlias = dict[str, Any]
"""A nested dict of arrays, every leaf trainable."""
State: TypeAlias = Any
"""A tree (dicts, tuples, lists) of arrays; every leaf has the batch axes in front."""
Inputs: TypeAlias = Any
"""What ``embed`` gives: a tree of arrays."""
Element: TypeAlias = Any
"""A piece of a sequence as an element of a semigroup: a tree of arrays."""
Starts: TypeAlias = Any
"""``(..., T)`` bool, or None: where a sequence begins."""
Key: TypeAlias = Any
"""A ``jax.random.key``, a ``numpy.random.Generator`` or an int seed; inside a model a `Draw`."""


@dataclass(frozen=True)
class Model:
    """Anything that maps a sequence and a state to a sequence and a state.

    A subclass is a frozen dataclass whose first field is ``in_features`` and whose other fields have
    defaults. A composite implements `init`, `parts` and `run_parts`; everything outside the core
    (adapters, training, checkpoints) needs no more.
    """

    in_features: int = count()

    single: ClassVar[bool] = False
    """Whether the model is one recurrence (a `Cell`)."""

    def __post_init__(self) -> None:
        """Raise for hyperparameters that make no sense."""
        check_fields(self)

    @property
    def out_features(self) -> int:
        """The width of the outputs."""
        return self.in_features

    @property
    def input_ndim(self) -> int:
        """Axes of one step of the inputs: 0 for tokens, 1 for vectors, 2 for rows of a picture."""
        return 1

    @property
    def output_ndim(self) -> int:
        """Axes of one step of the outputs."""
        return 1

    @property
    def token_dtype(self) -> str | None:
        """The dtype of the computation on tokens; None for that of the parameters."""
        return None

    @property
    def parts(self) -> dict[str, Model]:
        """The models, stateful layers and rules inside, by the names under which `run_parts` runs them
        and which their states have."""
        return {}

    @property
    def causal(self) -> bool:
        """Whether ``y_t`` depends on ``x_s`` for ``s <= t`` alone."""
        return all(part.causal for part in self.parts.values())

    @property
    def grid(self) -> int:
        """The length of the segments that the model works on; 1 where there are none."""
        return math.lcm(*(part.grid for part in self.parts.values()))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the model can run, beside ``"auto"``; ``"newton"`` on JAX only."""
        found = {m for _, cell in self.recurrences() for m in cell.methods} or {"sequential"}
        return tuple(m for m in METHODS if m in found)

    def recurrences(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Every recurrence inside, by path."""
        for name, part in self.parts.items():
            yield from part.recurrences(f"{prefix}{name}/")

    def init(self, key: Key, dtype: Any = "float32") -> Params:
        """Draw parameters.

        Args:
            key: a ``jax.random.key`` (gives JAX arrays), or a ``numpy.random.Generator`` or int seed
                (gives NumPy arrays).
            dtype: of the parameters.
        """
        raise NotImplementedError

    def initial_state(self, params: Params) -> State:
        """The memory before the first input and at every start: unbatched, finite."""
        return initial_states(self, params)

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        """The outputs of a composite; each declared part runs once, as ``run(name, params, xs)``."""
        raise NotImplementedError

    def _apply(
        self, params: Params, xs: Array, state: State, initial: State, call: Call
    ) -> tuple[Any, ...]:
        """Run checked arguments: ``(state, ys)``. Of the engine: a subclass has `run_parts`."""
        return engine.run_composite(self, params, xs, state, initial, call)

    @final
    def apply(
        self,
        params: Params,
        xs: Array,
        state: State = None,
        *,
        starts: Starts = None,
        valid: Array = None,
        method: str = "auto",
        chunk_size: int | None = None,
        key: Key = None,
    ) -> tuple[State, Array]:
        """Run over a sequence.

        Args:
            params: what `init` drew, or trained since.
            xs: ``(..., T, in_features)``, or ints ``(..., T)`` where ``input_ndim`` is 0.
            state: where the sequence continues from, leaves ``(..., *leaf)``; None begins afresh.
            starts: ``(..., T)`` bool: before ``x_t`` is used, the state becomes the initial one.
            valid: ``(..., T)`` bool: other steps are padding; they leave the state as it is, and
                their outputs are 0. A start on such a step still counts.
            method: ``"auto"`` or one of ``methods`` (``"newton"`` on JAX); parts that lack it use
                ``"auto"``. Forward mode (``jax.jvp``) needs ``"sequential"``: some others have
                gradients of their own.
            chunk_size: steps per chunk of ``chunked`` (64 if None) and of ``fused`` (what ``auto``
                chooses if None).
            key: for dropout and noise (as for `init`); None means neither.

        Returns:
            ``(state, ys)`` with ``ys (..., T, out_features)`` in the dtype of ``xs``.

        Raises:
            ValueError, TypeError: an argument does not fit; the message names it.
        """
        state, ys = engine.run_model(
            self, params, xs, state, Call(starts, valid, method, chunk_size, key)
        )
        return state, ys

    if not TYPE_CHECKING:

        def step(self, *args: Any, **kwargs: Any) -> Any:
            """Refused: one time step of any model is `memcore.step`."""
            raise TypeError(
                f"{type(self).__name__} has no step of its own: expected "
                "memcore.step(model, params, state, x)"
            )

    def labels(self, params: Params) -> Any:
        """What each parameter is: ``"recurrence"``, ``"matrix"``, ``"bias"`` or ``"scale"``, as its draw
        or its name says.

        For optax masks: recurrences want no weight decay and often a smaller learning rate.

        Raises:
            ValueError: a parameter has neither a label nor a name that says it, or is not the model's.
        """

        def walk(tree: Any, path: str) -> Any:
            if isinstance(tree, dict):
                prefix = f"{path}/" if path else ""
                return {key: walk(value, prefix + key) for key, value in tree.items()}
            return label_of(self, path)

        return walk(params, "")


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
    rule_name: ClassVar[str] = ""
    """The row of the table behind ``method="auto"``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:  # the engine calls what was written, a user what checks first
            cls._step = cls.__dict__["step"]
            cls.step = _guarded(cls._step)  # type: ignore[method-assign]

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

    def recurrences(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
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

    def read(self, params: Params, state: State, inputs: Inputs) -> Any:
        """What is read from the memory; by default the state itself."""
        return state

    def output(self, params: Params, read: Any, inputs: Inputs) -> Array:
        """``(..., out_features)`` from what was read; by default that itself."""
        return read

    def turn(self, params: Params, state: State) -> State:
        """The state after the last step of a segment of the grid, padding too; with a grid of 1 after
        every step."""
        return state

    def moves(
        self, params: Params, inputs: Inputs
    ) -> tuple[Callable[[State], State], Callable[[State], Any]]:
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
    ) -> tuple[State, Any]:
        """Optional: ``(state, reads)`` of a whole sequence in a form of its own.

        ``state`` has the batch axes; ``starts`` and ``valid`` are ``(*batch, T)`` bool or None;
        ``initial`` is the state at starts, with or without batch axes. A cell on a grid is given
        ``phase`` as well, the place of the first step.
        """
        raise NotImplementedError

    def _apply(
        self, params: Params, xs: Array, state: State, initial: State, call: Call
    ) -> tuple[Any, ...]:
        return engine.run_cell(self, params, xs, state, initial, call)


def _guarded(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step``, for those who call it with a model's inputs instead of embedded ones."""

    @functools.wraps(step)
    def guarded(self: Cell, params: Params, state: State, inputs: Inputs) -> State:
        _check_embedded(self, inputs)
        return step(self, params, state, inputs)

    return guarded


def _check_embedded(cell: Cell, inputs: Inputs) -> None:
    structure, shapes = _embedded(cell)
    leaves, given = tree_flatten(inputs)
    unlike = given != structure or any(
        tuple(leaf.shape[leaf.ndim - len(shape) :]) != shape
        for leaf, shape in zip(leaves, shapes, strict=True)
    )
    if unlike:
        shown = [tuple(leaf.shape) for leaf in leaves]
        raise TypeError(
            f"inputs has leaves of shapes {shown}, expected what embed gives, (..., *leaf) of {shapes}: "
            f"{type(cell).__name__}.step is the inner step; for a time step of the model use "
            "memcore.step(model, params, state, x)"
        )


@functools.lru_cache(maxsize=1024)
def _embedded(cell: Cell) -> tuple[Any, list[tuple[int, ...]]]:
    """Structure and shapes of one step as `embed` gives it."""
    if cell.input_ndim == 0:
        x: Any = np.zeros((), np.int32)
    else:
        x = np.zeros((1,) * (cell.input_ndim - 1) + (cell.in_features,), np.float32)
    leaves, structure = tree_flatten(cell.embed(cell.init(0), x))
    return structure, [tuple(leaf.shape) for leaf in leaves]


@dataclass(frozen=True)
class GatedCell(Cell):
    """A cell whose parameters meet the state in one product.

        z_t = project(params, h_{t-1})
        h_t = update(h_{t-1}, u_t, z_t)

    So it has a ``fused`` form: on JAX the gradient folds the states' adjoints alone backwards in time, and
    the gradient of the parameters is that of one `project` of all steps. The state is floating point.
    """

    rule_name: ClassVar[str] = "gated_cell"

    def project(self, params: Params, state: State) -> Any:
        """All that the step needs of the parameters: floating point, any leading axes."""
        raise NotImplementedError

    def update(self, state: State, inputs: Inputs, projected: Any) -> State:
        """The next state."""
        raise NotImplementedError

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        return self.update(state, inputs, self.project(params, state))

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
    ) -> tuple[State, Any]:
        initial = self.initial_state(params) if initial is None else initial
        own = np.ndim(tree_leaves(self.initial_state(params))[0])
        shape = _front(state, inputs, own)
        job = Recurrence(self, params, inputs, state, initial, Call(starts, valid), shape)
        state, reads = gated(job)
        return state, reads


def _front(state: State, inputs: Inputs, own: int) -> tuple[int, ...]:
    """``(*batch, T)``, where a leaf of the state has ``own`` axes behind the batch's."""
    leaf = tree_leaves(state)[0]
    axis = leaf.ndim - own
    return (*leaf.shape[:axis], max(u.shape[axis] for u in tree_leaves(inputs)))


@dataclass(frozen=True)
class Memoroid(Cell):
    """A cell whose recurrence is associative.

    One step is an element of a semigroup (`lift`), elements combine (`binary_op`) and act on a state
    (`act`). An element is not a state: for ``S' = M S + X`` the element is ``(M, X)``, the state S.
    """

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
        owns = [len(shape) for shape in _embedded(self)[1]]
        leads = [u.shape[: u.ndim - own] for u, own in zip(tree_leaves(inputs), owns, strict=True)]
        shape = tuple(max(sizes) for sizes in zip(*leads, strict=True))
        job = Recurrence(self, params, inputs, None, None, Call(starts, valid), shape)
        return total(job)
