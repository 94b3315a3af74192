"""Models, data and the core's numbers, for the tests of every adapter."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import memcore

VALUES, GRADIENTS = 1e-5, 5e-5  # of max(1, scale), in float32


@dataclass(frozen=True)
class LearnedStart(memcore.Cell):
    """A user's own cell, ``h' = tanh(h * rate + x)``, whose initial state is a parameter."""

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        draw = memcore.as_draw(key, dtype)
        names = ("initial", "rate")
        return {name: draw.normal(name, (self.in_features,)) for name in names}

    def initial_state(self, params: Any) -> Any:
        return params["initial"]

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        xp = memcore.backend.namespace(state)
        rate = xp.astype(params["rate"], state.dtype, copy=False)
        return xp.tanh(state * rate + xp.astype(inputs, state.dtype, copy=False))


HYBRID = (memcore.LRU(8), memcore.GatedDeltaNet(8, heads=2))
DROPS = memcore.GRU(6, recurrent_dropout=0.25)
LAST = {"out_features": 5, "position": "learned"}
MODELS: dict[str, memcore.Model] = {
    "lru": memcore.LRU(6, state_size=7),
    "gru": memcore.GRU(6, hidden_size=5),
    "linear_attention": memcore.LinearAttention(8, heads=2),
    "gated_delta_net": memcore.GatedDeltaNet(8, heads=2),
    "attention": memcore.Attention(8, heads=2, window=4),
    "stack": memcore.ResidualStack(3, model=HYBRID, layers=2, **LAST),
    "tokens": memcore.ResidualStack(7, model=memcore.GRU(6), layers=1, tokens=True, **LAST),
    "dropout": memcore.ResidualStack(3, model=DROPS, layers=1, dropout=0.5, **LAST),
    "learned_start": LearnedStart(6),
}
IDIOMS = ["dropout", "tokens", "learned_start"]  # small ones of each kind: compiling takes the time
BATCH, LENGTH = 3, 17


@dataclass(frozen=True)
class Case:
    """A model, its parameters, data, and what the core makes of them.

    ``xs (BATCH, LENGTH, ...)``, ``starts (BATCH, LENGTH)`` at random, and ``state``, from which
    ``xs`` continues. ``gradients`` are those of `objective`: by parameters and, unless ``xs`` are
    tokens, by ``xs``.
    """

    model: memcore.Model
    params: Any
    xs: jax.Array
    starts: jax.Array
    state: Any
    result: Any
    gradients: Any

    @property
    def argnums(self) -> tuple[int, ...]:
        """Which of ``(params, xs)`` have gradients."""
        return tuple(range(1 + self.model.input_ndim))

    def apply(self, *args: Any, **options: Any) -> Any:
        """The core's ``(state, ys)``."""
        return self.model.apply(self.params, *args, **options)


def inputs(model: memcore.Model, seed: int, *shape: int, dtype: str = "float32") -> jax.Array:
    """Random inputs: ``(*shape, in_features)``, or tokens ``shape``."""
    random = np.random.default_rng(seed)
    if model.input_ndim == 0:
        return jnp.asarray(random.integers(0, model.in_features, shape, "int32"))
    return jnp.asarray(random.normal(size=(*shape, model.in_features)).astype(dtype))


@functools.cache
def case(name: str) -> Case:
    """The case of a model in `MODELS`; the same one at every call."""
    model = MODELS[name]
    params = jax.jit(model.init)(jax.random.key(0))
    xs = inputs(model, 1, BATCH, LENGTH)
    starts = jnp.asarray(np.random.default_rng(2).random((BATCH, LENGTH)) < 0.2)
    state, _ = model.apply(params, inputs(model, 3, BATCH, 5))

    def run(params: Any, xs: Any) -> Any:
        result = model.apply(params, xs, state, starts=starts)
        return objective(*result), result

    argnums = tuple(range(1 + model.input_ndim))
    # Not under jit: so the core's own compiled functions are those that the adapters run.
    (_, result), gradients = jax.value_and_grad(run, argnums, has_aux=True)(params, xs)
    return Case(model, params, xs, starts, state, result, gradients)


def objective(state: Any, ys: Any) -> jax.Array:
    """A number that depends on every output and every floating point leaf of the state."""
    leaves = [x for x in jax.tree.leaves((state, ys)) if jnp.issubdtype(x.dtype, jnp.floating)]
    return sum((jnp.sum(jnp.sin(leaf)) for leaf in leaves), jnp.zeros((), leaves[0].dtype))


def assert_close(actual: Any, expected: Any, tolerance: float = VALUES) -> None:
    """The same tree, shapes and dtypes, and the same numbers within ``tolerance * max(1, scale)``."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    pairs = zip(jax.tree.leaves_with_path(actual), jax.tree.leaves(expected), strict=True)
    for (path, a), b in pairs:
        name = jax.tree_util.keystr(path)
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        a, b = np.asarray(a), np.asarray(b)
        if b.dtype.kind == "f":
            scale = max(1.0, np.abs(b).max(initial=0.0))
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale, err_msg=name)
        else:
            np.testing.assert_array_equal(a, b, err_msg=name)


def assert_jax_leaves(tree: Any) -> None:
    """Leaves are JAX arrays, none of a weak type: such a state does not compile a run again."""
    leaves = jax.tree.leaves(tree)
    assert leaves and all(isinstance(x, jax.Array) and not x.weak_type for x in leaves)


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """A list that grows by one with each compilation inside."""
    seen: list[str] = []

    def listen(event: str, duration: float, **_: Any) -> None:
        if "backend_compile" in event:
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def import_without(package: str, statement: str) -> str:
    """The last line on stderr of ``statement`` where ``package`` cannot be imported."""
    code = f"import sys; sys.modules[{package!r}] = None; {statement}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    return result.stderr.strip().splitlines()[-1]
