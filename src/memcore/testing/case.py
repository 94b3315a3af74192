"""The data that a law is checked on, and the comparison of trees."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from memcore.backend import (
    is_floating,
    namespace,
    to_numpy,
    tree_leaves,
    tree_map,
    tree_paths,
)
from memcore.cell import Cell, Memoroid, Model
from memcore.engine.call import Call
from memcore.engine.checks import runnable
from memcore.engine.resets import align
from memcore.engine.state import initial_state
from memcore.types import Array, Inputs, Params, Starts, State, Tree

BACKENDS = {"numpy": "numpy", "array_api_strict": "array_api_strict", "jax": "jax.numpy"}
ROWS = 3
"""Of a picture, for models of such steps."""
VALUES = {"float64": 1e-10, "float32": 1e-5}
GRADIENTS = {"float64": 1e-10, "float32": 5e-5}


class CounterExample(Exception):
    """A law does not hold; the message says where."""


class NotApplicable(Exception):
    """A law says nothing about this model here; the message says why."""


@dataclass(frozen=True)
class Case:
    """A model with random parameters, inputs, starts and state, in one array library."""

    model: Model
    backend: str
    dtype: str
    length: int
    batch: int
    seed: int
    reference: Callable[[Tree, Tree, Tree], Tree] | None = None

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """Inside, float64 is float64; it needs saying to JAX only."""
        if self.backend == "jax" and self.dtype == "float64":
            import jax

            with jax.enable_x64(True):
                yield
        else:
            yield

    def array(self, tree: Tree) -> Tree:
        """A NumPy tree in this case's library; NumPy's own arrays refuse to be written."""
        if self.backend != "numpy":
            xp = importlib.import_module(BACKENDS[self.backend])
            return tree_map(lambda leaf: xp.asarray(np.asarray(leaf)), tree)

        def frozen(leaf: Array) -> Tree:
            leaf = np.array(leaf)
            leaf.flags.writeable = False
            return leaf

        return tree_map(frozen, tree)

    def random(self, what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, what])

    def __post_init__(self) -> None:
        """Make the arrays now, rather than inside somebody's trace."""
        with self.precision():
            _ = self.params, self.xs, self.starts, self.valid, self.state

    @functools.cached_property
    def numpy_params(self) -> Params:
        """Parameters, none of them at a special value such as 0 or 1."""
        rng = self.random(0)
        drawn = self.model.init(self.seed, self.dtype)
        return tree_map(lambda p: (p + 0.1 * rng.normal(size=p.shape)).astype(self.dtype), drawn)

    @functools.cached_property
    def numpy_xs(self) -> Array:
        rng, shape = self.random(1), (self.batch, self.length)
        if self.model.input_ndim == 0:
            return rng.integers(0, self.model.in_features, shape)
        rows = (ROWS,) * (self.model.input_ndim - 1)
        return rng.normal(size=(*shape, *rows, self.model.in_features)).astype(self.dtype)

    @functools.cached_property
    def numpy_starts(self) -> np.ndarray:
        """Random starts: none in row 0, several in a row elsewhere."""
        starts = self.random(2).random((self.batch, self.length)) < 0.25
        starts[0] = False
        starts[1:, self.length // 2] = (
            self.length > 1
        )  # one at least, behind something that may leak
        return starts

    @functools.cached_property
    def numpy_valid(self) -> np.ndarray:
        return self.random(3).random((self.batch, self.length)) < 0.8

    @functools.cached_property
    def numpy_state(self) -> State:
        """A state as a run leaves it behind."""
        before = np.roll(self.numpy_xs, 1, axis=0)
        return self.model.apply(self.numpy_params, before, method=self.model.methods[0])[0]

    @functools.cached_property
    def fresh(self) -> State:
        """The state before the first input, once for each sequence."""
        return self.fresh_at(0)

    def fresh_at(self, phase: int) -> State:
        """The same at a place of the model's grid."""
        phase = phase % self.model.grid
        batch = (self.batch,)
        return self.array(
            initial_state(self.model, self.numpy_params, batch, dtype=self.dtype, phase=phase)
        )

    @property
    def phase(self) -> int:
        """The place in the grid where the state of `state` stands."""
        return self.length % self.model.grid

    @functools.cached_property
    def params(self) -> Params:
        return self.array(self.numpy_params)

    @functools.cached_property
    def xs(self) -> Array:
        return self.array(self.numpy_xs)

    @functools.cached_property
    def starts(self) -> Array:
        return self.array(self.numpy_starts)

    @functools.cached_property
    def valid(self) -> Array:
        return self.array(self.numpy_valid)

    @functools.cached_property
    def state(self) -> State:
        return self.array(self.numpy_state)

    @property
    def methods(self) -> tuple[str, ...]:
        """What the model can run in this library."""
        return runnable(self.model, self.params)

    def run(
        self, method: str, xs: Array, state: State, starts: Starts, valid: Array = None
    ) -> Tree:
        """``model.apply`` by a method, in chunks that do not divide the length.

        On JAX ``valid`` is always given, so that the laws share what they compile.
        """
        if valid is None and self.backend == "jax":
            valid = namespace(starts).ones_like(starts)
        flags = {
            "starts": starts,
            "valid": valid,
            "method": method,
            "chunk_size": 5 if self.length > 8 else 3,
        }
        return self.model.apply(self.params, xs, state, **flags)

    @functools.cached_property
    def gradients(self) -> Callable[..., list[Tree]]:
        """``gradients(method, xs, state, starts, valid, weight)`` of a sum over the final state and over
        the outputs at steps of ``weight (batch, T)``, with respect to all that has one. JAX."""
        import jax
        import jax.numpy as jnp

        def loss(params: Params, xs: Array, state: State, method: str, flags: Array) -> Tree:
            starts, valid, weight = flags
            how = {
                "starts": starts,
                "valid": valid,
                "method": method,
                "chunk_size": 5 if self.length > 8 else 3,
            }
            after, ys = self.model.apply(params, xs, state, **how)
            total = jnp.sum(jnp.where(align(weight, ys.ndim), jnp.sin(ys), 0))
            floats = [leaf for leaf in tree_leaves(after) if is_floating(leaf)]
            return total + sum(jnp.sum(jnp.cos(leaf)) for leaf in floats)

        numbers = (0, 1, 2) if self.model.input_ndim else (0, 2)
        gradient = jax.jit(jax.grad(loss, numbers, allow_int=True), static_argnums=3)

        def floats(method: str, xs: Array, state: State, *flags: Array) -> list[Tree]:
            tree = gradient(self.params, xs, state, method, flags)
            return [leaf for leaf in tree_leaves(tree) if is_floating(leaf)]

        return floats

    def memoroids(self) -> list[tuple[Memoroid, Params, Inputs]]:
        """The memoroids inside the model, each with its parameters and the inputs that a run of three steps
        gave it; the last step is repeated where there are fewer."""
        found: list[tuple[Memoroid, Params, Inputs]] = []

        def watch(cell: Cell, params: Params, inputs: Inputs) -> None:
            if isinstance(cell, Memoroid):
                found.append((cell, params, inputs))

        model, last = self.model, self.xs.shape[1] - 1
        steps = [self.xs[:, min(t, last), None, ...] for t in range(3)]
        xs = namespace(self.xs).concat(steps, axis=1)
        memory = self.fresh["memory"] if model.grid > 1 else self.fresh
        phase = namespace(xs).zeros((), dtype=namespace(xs).int32) if model.grid > 1 else None
        call = Call(method="sequential", phase=phase, watch=watch)
        model._apply(self.params, xs, memory, model.initial_state(self.params), call)
        if not found:
            raise NotApplicable("no associative cell inside")
        return found

    def close(self, got: Tree, want: Tree, what: str, *, gradients: bool = False) -> None:
        """Raise CounterExample where two trees differ."""
        tolerance = (GRADIENTS if gradients else VALUES)[self.dtype]
        names = [[name for name, _ in tree_paths(tree)] for tree in (got, want)]
        if names[0] != names[1]:
            raise CounterExample(f"{what} has the leaves {names[0]}, expected {names[1]}")
        pairs = zip(tree_paths(got), tree_paths(want), strict=True)
        for (name, a), (_, b) in pairs:
            _close(np.asarray(to_numpy(a)), np.asarray(to_numpy(b)), f"{what} {name}", tolerance)


def _close(got: np.ndarray, want: np.ndarray, what: str, tolerance: float) -> None:
    what = what.strip()
    if got.shape != want.shape:
        raise CounterExample(f"{what} has shape {got.shape}, expected {want.shape}")
    if got.dtype != want.dtype:
        raise CounterExample(f"{what} has dtype {got.dtype}, expected {want.dtype}")
    if got.dtype.kind not in "fc":
        wrong = got != want
    else:
        finite = np.isfinite(want)
        scale = max(1.0, float(np.max(np.abs(want), where=finite, initial=0.0)))
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(got - want) <= tolerance * scale)
        wrong = np.where(finite, wrong, ~((got == want) | np.isnan(got) & np.isnan(want)))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = f"[{', '.join(map(str, at))}]" if at else ""
        raise CounterExample(f"{what}{place} is {got[at]!r}, expected {want[at]!r}")
