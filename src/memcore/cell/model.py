"""The contract of every model: what outsiders call, and what a composite implements."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from memcore import engine
from memcore.engine import METHODS, Call, Parts
from memcore.engine.parameters import label_of
from memcore.engine.parts import declared, initial_states
from memcore.fields import check_fields, count
from memcore.types import Array, Dtype, Key, Params, Starts, State, Tree

if TYPE_CHECKING:
    from memcore.cell.cell import Cell


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
        return all(part.causal for part in declared(self).values())

    @property
    def grid(self) -> int:
        """The length of the segments that the model works on; 1 where there are none."""
        return math.lcm(*(part.grid for part in declared(self).values()))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the model can run, beside ``"auto"``; ``"newton"`` on JAX only."""
        found = {m for _, cell in self.recurrences() for m in cell.methods} or {"sequential"}
        return tuple(m for m in METHODS if m in found)

    def recurrences(self, prefix: str = "") -> Iterator[tuple[str, Cell]]:
        """Every recurrence inside, by path."""
        for name, part in declared(self).items():
            yield from part.recurrences(f"{prefix}{name}/")

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
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
    ) -> tuple[Tree, ...]:
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
        time_axis: int | None = None,
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
            time_axis: where ``xs``, ``starts``, ``valid`` and ``ys`` have time, 0 for ``(T, B, ...)``;
                None is behind the batch axes. States have the batch axes alone.

        Returns:
            ``(state, ys)`` with ``ys (..., T, out_features)`` in the dtype of ``xs``.

        Raises:
            ValueError, TypeError: an argument does not fit; the message names it.
        """
        call = Call(starts, valid, method, chunk_size, key)
        state, ys = engine.run_model(self, params, xs, state, call, time_axis)
        return state, ys

    if not TYPE_CHECKING:

        def step(self, *args: object, **kwargs: object) -> None:
            """Refused: one time step of any model is `memcore.step`."""
            raise TypeError(
                f"{type(self).__name__} has no step of its own: expected "
                "memcore.step(model, params, state, x)"
            )

    def labels(self, params: Params) -> Tree:
        """What each parameter is: ``"recurrence"``, ``"matrix"``, ``"bias"``, ``"scale"``, or ``"memory"``
        for the weights at starts of a memory that is trained while it reads; as its draw or name says.

        For optax masks: recurrences want no weight decay and often a smaller learning rate.

        Raises:
            ValueError: a parameter has neither a label nor a name that says it, or is not the model's.
        """

        def walk(tree: Tree, path: str) -> Tree:
            if isinstance(tree, dict):
                prefix = f"{path}/" if path else ""
                return {key: walk(value, prefix + key) for key, value in tree.items()}
            return label_of(self, path)

        return walk(params, "")
