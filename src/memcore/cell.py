"""The contract: `Model`, `Cell` and `Memoroid`.

A model is a frozen dataclass. Its fields are hyperparameters, its methods are pure functions of their
arguments, and it holds no arrays: it hashes and compares by value, prints its own configuration,
pickles, and is a valid static argument of ``jax.jit``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, final

from memcore import engine
from memcore.engine import METHODS, Call
from memcore.engine.checks import check_count
from memcore.engine.methods import gated

Array: TypeAlias = Any
"""An array of NumPy, JAX, or any library of the array API standard."""
Params: TypeAlias = dict[str, Any]
"""A nested dict of arrays, every leaf trainable."""
State: TypeAlias = Any
"""A tree (dicts, tuples, lists) of arrays."""

LABELS = {"kernel": "matrix", "embedding": "matrix", "bias": "bias", "scale": "scale"}


@dataclass(frozen=True)
class Model:
    """Anything that maps a sequence and a state to a sequence and a state.

    A subclass is a frozen dataclass whose first field is ``in_features`` and whose other fields have
    defaults. It implements `init`, `initial_state` and `_apply`; everything outside the core
    (adapters, training, checkpoints) needs no more.
    """

    in_features: int

    single: ClassVar[bool] = False
    """Whether the model is one recurrence (a `Cell`), whose states can be returned."""
    causal: ClassVar[bool] = True
    """Whether ``y_t`` depends on ``x_s`` for ``s <= t`` alone."""
    grid: ClassVar[int] = 1
    """The length of the segments that the model works on, if its step knows a phase."""
    label_names: ClassVar[dict[str, str]] = {}
    """Labels of parameters by name, where `LABELS` does not say it."""

    def __post_init__(self) -> None:
        """Raise for hyperparameters that make no sense."""
        for name in ("in_features", "state_size", "hidden_size", "heads", "window", "layers"):
            check_count(name, getattr(self, name, 1))
        for name in ("key_size", "value_size"):
            if getattr(self, name, None) is not None:
                check_count(name, getattr(self, name))

    @property
    def out_features(self) -> int:
        """The width of the outputs."""
        return self.in_features

    @property
    def input_ndim(self) -> int:
        """1 for inputs ``(..., T, in_features)``, 0 for tokens ``(..., T)``."""
        return 1

    @property
    def token_dtype(self) -> str | None:
        """The dtype of the computation on tokens; None for that of the parameters."""
        return None

    @property
    def parts(self) -> dict[str, Model]:
        """The models inside, by the path of their parameters: ``name`` or ``name/name``."""
        return {}

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the model can run, beside ``"auto"``; ``"newton"`` on JAX only."""
        found = {m for _, cell in self.recurrences() for m in cell.methods} or {"sequential"}
        return tuple(m for m in METHODS if m in found)

    def recurrences(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Every recurrence inside, by path."""
        for name, part in self.parts.items():
            yield from part.recurrences(f"{prefix}{name}/")

    def init(self, key: Any, dtype: Any = "float32") -> Params:
        """Draw parameters.

        Args:
            key: a ``jax.random.key`` (gives JAX arrays), or a ``numpy.random.Generator`` or int seed
                (gives NumPy arrays).
            dtype: of the parameters.
        """
        raise NotImplementedError

    def initial_state(self, params: Params) -> State:
        """The state before the first input and at every start: unbatched, finite."""
        raise NotImplementedError

    def _apply(self, params: Params, xs: Array, state: State, call: Call) -> tuple[Any, ...]:
        """Run checked arguments: ``(state, ys)``. Parts are called by their ``_apply``."""
        raise NotImplementedError

    @final
    def apply(
        self,
        params: Params,
        xs: Array,
        state: State = None,
        *,
        starts: Array = None,
        valid: Array = None,
        method: str = "auto",
        chunk_size: int | None = None,
        key: Any = None,
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
            key: for dropout (as for `init`); None means no dropout.

        Returns:
            ``(state, ys)`` with ``ys (..., T, out_features)`` in the dtype of ``xs``.

        Raises:
            ValueError, TypeError: an argument does not fit; the message names it.
        """
        state, ys = engine.run_model(
            self, params, xs, state, Call(starts, valid, method, chunk_size, key)
        )
        return state, ys

    def labels(self, params: Params) -> Any:
        """What each parameter is: ``"recurrence"``, ``"matrix"``, ``"bias"`` or ``"scale"``.

        For optax masks: recurrences want no weight decay and often a smaller learning rate.
        """
        names, parts = {**LABELS, **self.label_names}, self.parts

        def walk(tree: Any, path: str, name: str) -> Any:
            if path in parts:
                return parts[path].labels(tree)
            if isinstance(tree, dict):
                prefix = f"{path}/" if path else ""
                return {key: walk(value, prefix + key, key) for key, value in tree.items()}
            return names.get(name, "recurrence")

        return walk(params, "", "")


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
    rule_name: ClassVar[str] = ""
    """The row of the table behind ``method="auto"``."""

    @property
    def methods(self) -> tuple[str, ...]:
        return ("sequential", "newton")

    def recurrences(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        yield prefix + (self.rule_name or type(self).__name__), self

    def embed(self, params: Params, x: Array) -> Any:
        """``(..., in_features)`` to a tree of ``(..., *leaf)``: all that the step needs of ``x``."""
        return x

    def step(self, params: Params, state: State, inputs: Any) -> State:
        """The next state."""
        raise NotImplementedError

    def read(self, params: Params, state: State, inputs: Any) -> Any:
        """What is read from the memory; by default the state itself."""
        return state

    def output(self, params: Params, read: Any, inputs: Any) -> Array:
        """``(..., out_features)`` from what was read; by default that itself."""
        return read

    def _apply(self, params: Params, xs: Array, state: State, call: Call) -> tuple[Any, ...]:
        return engine.run_cell(self, params, xs, state, call)


@dataclass(frozen=True)
class GatedCell(Cell):
    """A cell whose parameters meet the state in one product.

        z_t = project(params, h_{t-1})
        h_t = update(h_{t-1}, u_t, z_t)

    So it has a ``fused`` form: on JAX the gradient folds the states' adjoints alone backwards in time, and
    the gradient of the parameters is that of one `project` of all steps. The state is floating point.
    """

    rule_name: ClassVar[str] = "gated_cell"

    @property
    def methods(self) -> tuple[str, ...]:
        return ("sequential", "fused", "newton")

    def project(self, params: Params, state: State) -> Any:
        """All that the step needs of the parameters: floating point, any leading axes."""
        raise NotImplementedError

    def update(self, state: State, inputs: Any, projected: Any) -> State:
        """The next state."""
        raise NotImplementedError

    def step(self, params: Params, state: State, inputs: Any) -> State:
        return self.update(state, inputs, self.project(params, state))

    def fused(
        self,
        params: Params,
        state: State,
        inputs: Any,
        starts: Array,
        *,
        valid: Array = None,
        chunk_size: int | None = None,
    ) -> tuple[State, Any]:
        return gated(self, params, state, inputs, starts, valid)


@dataclass(frozen=True)
class Memoroid(Cell):
    """A cell whose recurrence is associative.

    One step is an element of a semigroup (`lift`), elements combine (`binary_op`) and act on a state
    (`act`). An element is not a state: for ``S' = M S + X`` the element is ``(M, X)``, the state S.
    """

    @property
    def methods(self) -> tuple[str, ...]:
        fused = type(self).fused is not Memoroid.fused
        return ("sequential", "associative", "chunked", *(("fused",) if fused else ()))

    def lift(self, params: Params, inputs: Any) -> Any:
        """One step as an element of the semigroup."""
        raise NotImplementedError

    def binary_op(self, params: Params, a: Any, b: Any) -> Any:
        """The element of ``a`` first, then ``b``; associative."""
        raise NotImplementedError

    def act(self, params: Params, state: State, element: Any) -> State:
        """Apply an element to a state."""
        raise NotImplementedError

    def step(self, params: Params, state: State, inputs: Any) -> State:
        return self.act(params, state, self.lift(params, inputs))

    def fused(
        self,
        params: Params,
        state: State,
        inputs: Any,
        starts: Array,
        *,
        valid: Array = None,
        chunk_size: int | None = None,
    ) -> tuple[State, Any]:
        """Optional: ``(state, reads)`` of a whole sequence without a state per step.

        ``state`` has the batch axes; ``starts`` and ``valid`` are ``(*batch, T)`` bool or None.
        """
        raise NotImplementedError
