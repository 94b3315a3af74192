"""`memcore_flax.linen` and `memcore_flax.nnx`: law 8 (core == adapter), and Flax's idioms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx
from flax.training.train_state import TrainState

import memcore
from adapters import cases
from adapters.cases import BATCH, GRADIENTS, IDIOMS, MODELS, Case, assert_close, case
from cases.models import MODELS as EVERY
from cases.models import ON_JAX
from memcore.testing import check_model
from memcore_flax import linen
from memcore_flax import nnx as memory_nnx

DROPOUT = MODELS["dropout"]


def variables(params: Any) -> Any:
    return {"params": {"memory": params}}


class Linen:
    """A Linen module in the clothes of the others: parameters first, then the call."""

    @staticmethod
    def bound(c: Case, params: Any = None) -> Any:
        return linen.Memory(c.model).bind(variables(c.params if params is None else params))

    @staticmethod
    def bound_cell(c: Case) -> Any:
        return linen.MemoryCell(c.model).bind(variables(c.params))

    @staticmethod
    def rnn(c: Case, xs: Any, params: Any = None, **options: Any) -> Any:
        params = c.params if params is None else params
        cell = linen.MemoryCell(c.model, param_dtype=jax.tree.leaves(params)[0].dtype)
        module = nn.RNN(cell, return_carry=True)
        return module.apply({"params": {"cell": {"memory": params}}}, xs, **options)


class NNX:
    """The same of NNX."""

    @staticmethod
    def bound(c: Case, params: Any = None) -> Any:
        return memory_nnx.Memory(c.model, params=c.params if params is None else params)

    @staticmethod
    def bound_cell(c: Case) -> Any:
        return memory_nnx.MemoryCell(c.model, params=c.params)

    @staticmethod
    def rnn(c: Case, xs: Any, params: Any = None, **options: Any) -> Any:
        params = c.params if params is None else params
        cell = memory_nnx.MemoryCell(c.model, params=params)
        return nnx.RNN(cell, return_carry=True)(xs, **options)


both = pytest.mark.parametrize("flax_api", [Linen, NNX], ids=["linen", "nnx"])


# --- law 8 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ON_JAX)
def test_the_law_holds_for_every_model(name: str):
    report = check_model(EVERY[name], backend="jax", dtype="float32", laws=["adapter"], length=5)
    assert [result.holds for result in report.results] == [True]


@pytest.mark.parametrize("name", MODELS)
def test_linen_has_values_and_gradients_of_the_core(name: str):
    c = case(name)
    module = linen.Memory(c.model)

    def run(weights: Any, xs: Any) -> Any:
        result = module.apply(weights, xs, c.state, starts=c.starts)
        return cases.objective(*result), result

    grad = jax.value_and_grad(run, c.argnums, has_aux=True)
    (_, result), gradients = grad(variables(c.params), c.xs)
    assert_close(result, c.result)
    assert_close((gradients[0]["params"]["memory"], *gradients[1:]), c.gradients, GRADIENTS)


@pytest.mark.parametrize("name", MODELS)
def test_nnx_has_values_and_gradients_of_the_core(name: str):
    c = case(name)

    def run(memory: memory_nnx.Memory, xs: Any) -> Any:
        result = memory(xs, c.state, starts=c.starts)
        return cases.objective(*result), result

    grad = nnx.value_and_grad(run, argnums=c.argnums, has_aux=True)
    (_, result), gradients = grad(NNX.bound(c), c.xs)
    assert_close(result, c.result)
    by_params = nnx.to_pure_dict(gradients[0])["memory"]
    assert_close((by_params, *gradients[1:]), c.gradients, GRADIENTS)


@both
@pytest.mark.parametrize("name", MODELS)
def test_steps_from_the_initial_state_are_the_sequence(flax_api: Any, name: str):
    c = case(name)
    memory = flax_api.bound(c)
    state = memory.initial_state((BATCH,))
    cases.assert_jax_leaves(state)
    assert_close(state, c.apply(c.xs[:, :0])[0], 0.0)
    ys = []
    for t in range(5):
        state, y = memory.step(state, c.xs[:, t], start=c.starts[:, t])
        ys.append(y)
    assert_close((state, jnp.stack(ys, 1)), c.apply(c.xs[:, :5], starts=c.starts[:, :5]))


@both
def test_arguments_reach_the_core(flax_api: Any):
    c = case("lru")
    memory = flax_api.bound(c)
    valid = jnp.arange(c.xs.shape[1]) < jnp.asarray([17, 9, 1])[:, None]
    for options in (
        {"valid": valid, "starts": c.starts},
        {"method": "associative"},
        {"method": "chunked", "chunk_size": 4},
    ):
        assert_close(memory(c.xs, **options), c.apply(c.xs, **options), 0.0)
    with pytest.raises(ValueError, match="method is 'newton'"):
        memory(c.xs, method="newton")
    with pytest.raises(ValueError, match="chunk_size is 0"):
        memory(c.xs, chunk_size=0)


@both
def test_float64_stays_float64(flax_api: Any):
    with jax.enable_x64(True):
        c, params = case("dropout"), DROPOUT.init(0, "float64")
        expected = DROPOUT.apply(params, xs := np.random.default_rng(0).normal(size=(2, 5, 3)))
        expected = jax.tree.map(jnp.asarray, expected)
        params, xs = jax.tree.map(jnp.asarray, params), jnp.asarray(xs)
        memory = flax_api.bound(c, params)
        assert_close(memory(xs, memory.initial_state((2,))), expected, 1e-10)
        carry, ys = flax_api.rnn(c, xs, params)
        assert_close((carry["state"], ys), expected, 1e-10)


# --- cells -----------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("name", MODELS)
def test_rnn_is_the_sequence(flax_api: Any, name: str):
    c = case(name)
    carry, ys = flax_api.rnn(c, c.xs[:, :5])
    assert_close((carry["state"], ys), c.apply(c.xs[:, :5]))
    assert_close(carry["start"], jnp.zeros(BATCH, bool))


@both
def test_rnn_goes_on_from_its_carry(flax_api: Any):
    c = case("gru")
    carry, _ = flax_api.rnn(c, c.xs[:, :5])
    carry, ys = flax_api.rnn(c, c.xs[:, 5:], initial_carry=carry)
    state, expected = c.apply(c.xs)
    assert_close((carry["state"], ys), (state, expected[:, 5:]))


@both
@pytest.mark.parametrize("name", ["tokens", "learned_start"])
def test_rnn_with_lengths(flax_api: Any, name: str):
    c, lengths = case(name), jnp.asarray([5, 1, 3])
    used, xs = jnp.arange(5) < lengths[:, None], c.xs[:, :5]
    state, expected = c.apply(xs, valid=used)
    carry, ys = flax_api.rnn(c, xs, seq_lengths=lengths)
    assert_close((carry["state"], jnp.where(used[..., None], ys, 0.0)), (state, expected))

    pairs = zip(xs, lengths, strict=True)
    backwards = jnp.stack([jnp.concatenate([x[:n][::-1], x[n:]]) for x, n in pairs])
    state, expected = c.apply(backwards, valid=used)
    carry, ys = flax_api.rnn(c, xs, seq_lengths=lengths, reverse=True)
    assert_close((carry["state"], jnp.where(used[..., None], ys, 0.0)), (state, expected))


@both
@pytest.mark.parametrize("name", ["tokens", "learned_start"])
def test_rnn_backwards_and_time_major(flax_api: Any, name: str):
    c = case(name)
    xs = c.xs[:, :5]
    state, expected = c.apply(jnp.flip(xs, 1))
    carry, ys = flax_api.rnn(c, xs, reverse=True, keep_order=True)
    assert_close((carry["state"], jnp.flip(ys, 1)), (state, expected))
    carry, ys = flax_api.rnn(c, jnp.moveaxis(xs, 1, 0), time_major=True)
    assert_close((carry["state"], jnp.moveaxis(ys, 0, 1)), c.apply(xs))


@both
def test_rnn_takes_a_learned_initial_state_from_the_parameters(flax_api: Any):
    c = case("learned_start")
    assert np.abs(c.params["initial"]).min() > 0.01

    def by_rnn(params: Any) -> Any:
        carry, ys = flax_api.rnn(c, c.xs[:, :5], params)
        return cases.objective(carry["state"], ys)

    def by_core(params: Any) -> Any:
        return cases.objective(*c.model.apply(params, c.xs[:, :5]))

    gradients = jax.jit(jax.grad(by_rnn))(c.params)
    assert np.abs(gradients["initial"]).min() > 1e-4
    assert_close(gradients, jax.grad(by_core)(c.params), GRADIENTS)


@both
@pytest.mark.parametrize("name", IDIOMS)
def test_a_cell_called_directly_takes_starts(flax_api: Any, name: str):
    c = case(name)
    cell, xs, starts = flax_api.bound_cell(c), c.xs[:, :5], c.starts[:, :5]
    shape = xs[:, 0].shape
    carry = cell.initialize_carry(*([jax.random.key(0)] if flax_api is Linen else []), shape)
    cases.assert_jax_leaves(carry)
    assert_close(carry["start"], jnp.ones(BATCH, bool))
    like = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), c.result[0])
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), carry["state"]) == like
    ys = []
    for t in range(5):
        carry, y = cell(carry, xs[:, t], start=starts[:, t])
        ys.append(y)
    assert_close((carry["state"], jnp.stack(ys, 1)), c.apply(xs, starts=starts))


@both
def test_the_carry_keeps_its_dtypes_whatever_the_inputs_have(flax_api: Any):
    c = case("gru")
    carry, ys = flax_api.rnn(c, c.xs[:, :5].astype(jnp.bfloat16))
    assert (carry["state"].dtype, ys.dtype) == (jnp.float32, jnp.bfloat16)


@both
def test_the_carry_keeps_the_precision_of_the_inputs(flax_api: Any):
    """Parameters of float32, inputs of float64: the state is float64, as in the core."""
    c = case("gru")
    xs = np.random.default_rng(0).standard_normal((2, 40, c.model.in_features))
    state, want = c.model.apply(jax.tree.map(np.asarray, c.params), xs)
    with jax.enable_x64(True):
        carry, ys = flax_api.rnn(c, jnp.asarray(xs))
        assert (carry["state"].dtype, ys.dtype) == (jnp.float64, jnp.float64)
        np.testing.assert_allclose(ys, want, rtol=0, atol=1e-13)
        np.testing.assert_allclose(carry["state"], state, rtol=0, atol=1e-13)


@both
def test_a_carry_of_less_precision_than_the_inputs_is_named(flax_api: Any):
    c = case("gru")
    carry = {"state": jnp.zeros((2, c.model.hidden_size)), "start": jnp.ones(2, bool)}
    with jax.enable_x64(True):
        x = jnp.zeros((2, c.model.in_features), jnp.float64)
        with pytest.raises(TypeError, match="^carry has a state of float32, expected float64"):
            flax_api.bound_cell(c)(carry, x)


@both
def test_rnn_without_a_batch_and_with_two_batch_axes(flax_api: Any):
    c = case("learned_start")
    for xs in (c.xs[0, :5], c.xs[None, :, :5]):
        carry, ys = flax_api.rnn(c, xs)
        assert_close((carry["state"], ys), c.apply(xs))


# --- what both promise -----------------------------------------------------------------------------


@both
@pytest.mark.parametrize("name", IDIOMS)
def test_same_shapes_compile_once(flax_api: Any, name: str):
    c = case(name)

    def calls(memory: Any, state: Any) -> None:
        state, _ = memory(c.xs, state, starts=c.starts)
        for t in range(3):
            state, _ = memory.step(state, c.xs[:, t], start=c.starts[:, t])

    memory = flax_api.bound(c)
    calls(memory, memory.initial_state((BATCH,)))
    with cases.compilations() as seen:
        calls(memory, c.state)
        calls(memory, memory.initial_state((BATCH,)))
        calls(flax_api.bound(c), memory.initial_state((BATCH,)))
    assert seen == []


@pytest.mark.parametrize("name", ["memcore_flax", "memcore_flax.linen", "memcore_flax.nnx"])
def test_missing_flax_names_the_extra(name: str):
    expected = 'ImportError: memcore_flax needs flax: pip install "memcore[flax]"'
    assert cases.import_without("flax", f"import {name}") == expected


# --- Linen's idioms --------------------------------------------------------------------------------


class Classifier(nn.Module):
    """Two memories in a user's module, one of them under remat."""

    @nn.compact
    def __call__(self, xs: Any, starts: Any = None) -> Any:
        _, ys = linen.Memory(memcore.LRU(6, state_size=7))(xs, starts=starts)
        _, ys = nn.remat(linen.Memory)(memcore.GRU(6, hidden_size=4), name="gru")(ys)
        return nn.Dense(2)(ys)


def test_linen_init_gives_the_core_parameters():
    xs = jnp.zeros((BATCH, 5, 3))
    module = linen.Memory(DROPOUT)
    typed = jax.jit(module.init)(jax.random.key(3), xs)
    legacy = jax.jit(module.init)(jax.random.PRNGKey(3), xs)
    assert_close(typed, legacy, 0.0)
    params = typed["params"]["memory"]
    expected = jax.eval_shape(DROPOUT.init, jax.random.key(0))
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    shapes = jax.eval_shape(module.init, jax.random.key(0), xs)
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, typed)
    ys = DROPOUT.apply(params, xs)[1]
    assert_close(module.apply(typed, xs)[1], ys, 0.0)


def test_linen_rnn_init_has_the_same_parameters():
    c = case("tokens")
    drawn = jax.jit(nn.RNN(linen.MemoryCell(c.model)).init)(jax.random.PRNGKey(3), c.xs)
    assert jax.tree.map(jnp.shape, drawn["params"]["cell"]["memory"]) == jax.tree.map(
        jnp.shape, c.params
    )


def test_linen_in_a_module():
    c = case("lru")
    module = Classifier()
    weights = jax.jit(module.init)(jax.random.key(0), c.xs)
    assert set(weights["params"]) == {"Memory_0", "gru", "Dense_0"}
    logits = jax.jit(module.apply)(weights, c.xs, starts=c.starts)
    params = weights["params"]
    _, ys = c.model.apply(params["Memory_0"]["memory"], c.xs, starts=c.starts)
    _, ys = memcore.GRU(6, hidden_size=4).apply(params["gru"]["memory"], ys)
    dense = params["Dense_0"]
    assert_close(logits, ys @ dense["kernel"] + dense["bias"])


def test_linen_takes_frozen_dicts():
    c = case("dropout")
    frozen, state = flax.core.freeze(variables(c.params)), flax.core.freeze(c.state)
    module, x = linen.Memory(c.model), c.xs[:, 0]
    assert_close(module.apply(frozen, c.xs, state, starts=c.starts), c.result)
    after = module.apply(frozen, state, x, method="step")
    assert_close(after, memcore.step(c.model, c.params, c.state, x), 0.0)
    carry = {"state": state, "start": jnp.zeros(BATCH, bool)}
    carry, y = linen.MemoryCell(c.model).apply(frozen, flax.core.freeze(carry), x)
    assert_close((carry["state"], y), after)
    again = flax.serialization.from_bytes(variables(c.params), flax.serialization.to_bytes(frozen))
    assert_close(jax.tree.map(jnp.asarray, again), variables(c.params), 0.0)


@pytest.mark.parametrize("name", ["tokens", "learned_start"])
def test_linen_training(name: str):
    c, traces = case(name), []
    module = linen.Memory(c.model)
    drawn = jax.jit(module.init)(jax.random.key(6), c.xs)
    train = TrainState.create(apply_fn=module.apply, params=drawn["params"], tx=optax.sgd(0.05))
    train = train.replace(step=jnp.zeros((), jnp.int32))

    def loss(params: Any) -> Any:
        _, ys = module.apply({"params": params}, c.xs, starts=c.starts)
        return jnp.mean((ys - 1.0) ** 2)

    @jax.jit
    def train_step(train: TrainState) -> Any:
        traces.append(name)
        value, gradients = jax.value_and_grad(loss)(train.params)
        return train.apply_gradients(grads=gradients), value

    values = []
    for _ in range(10):
        train, value = train_step(train)
        values.append(float(value))
    assert len(traces) == 1
    assert values[-1] < values[0]
    _, ys = c.model.apply(train.params["memory"], c.xs, starts=c.starts)
    assert_close(loss(train.params), jnp.mean((ys - 1.0) ** 2))


def test_linen_dropout_follows_its_rng():
    c = case("dropout")
    module = linen.Memory(c.model)
    weights, keys = variables(c.params), jax.random.split(jax.random.key(0))
    _, plain = module.apply(weights, c.xs)
    assert_close(plain, c.apply(c.xs)[1], 0.0)
    ys = [module.apply(weights, c.xs, rngs={"dropout": key})[1] for key in (*keys, keys[0])]
    assert not np.allclose(ys[0], plain) and not np.allclose(ys[0], ys[1])
    assert_close(ys[2], ys[0], 0.0)


@pytest.mark.parametrize("name", ["learned_start", "tokens"])
def test_linen_ensemble(name: str):
    c = case(name)
    options = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}, "axis_size": 3}
    module = nn.vmap(linen.Memory, in_axes=None, **options)(c.model)
    weights = jax.jit(module.init)(jax.random.key(0), c.xs)
    state, ys = jax.jit(module.apply)(weights, c.xs)
    for i in range(3):
        pick = lambda leaf, i=i: leaf[i]  # noqa: E731
        params = jax.tree.map(pick, weights["params"]["memory"])
        assert_close(jax.tree.map(pick, (state, ys)), c.model.apply(params, c.xs))
    leaves = jax.tree.leaves(weights)
    assert not np.allclose(leaves[0][0], leaves[0][1])


class Block(nn.Module):
    """A layer for ``nn.scan``: the residual stream is the carry."""

    model: memcore.Model

    @nn.compact
    def __call__(self, h: Any, starts: Any) -> Any:
        state, ys = linen.Memory(self.model, name="memory")(h, starts=starts)
        return h + ys, state


def test_linen_layers_under_scan():
    c = case("lru")
    scan = nn.scan(
        Block, {"params": 0}, split_rngs={"params": True}, in_axes=nn.broadcast, length=2
    )
    module = scan(c.model)
    weights = jax.jit(module.init)(jax.random.key(0), c.xs, c.starts)
    h, states = jax.jit(module.apply)(weights, c.xs, c.starts)
    expected = c.xs
    for i in range(2):
        params = jax.tree.map(lambda leaf, i=i: leaf[i], weights["params"]["memory"]["memory"])
        state, ys = c.model.apply(params, expected, starts=c.starts)
        expected = expected + ys
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], states), state)
    assert_close(h, expected)


# --- NNX's idioms ----------------------------------------------------------------------------------


def test_nnx_parameters_are_those_that_the_core_draws():
    for make in (memory_nnx.Memory, memory_nnx.MemoryCell):
        module = make(DROPOUT, rngs=nnx.Rngs(params=3))
        assert_close(module.params, DROPOUT.init(nnx.Rngs(params=3).params()), 0.0)
        again = make(DROPOUT, params=module.params)
        assert_close(nnx.to_pure_dict(nnx.state(again, nnx.Param))["memory"], module.params, 0.0)
        assert nnx.graphdef(again) == nnx.graphdef(module)


def test_nnx_numpy_parameters_become_jax_arrays():
    params = DROPOUT.init(0)
    memory = memory_nnx.Memory(DROPOUT, params=params)
    cases.assert_jax_leaves(memory.params)
    assert_close(memory.params, jax.tree.map(jnp.asarray, params), 0.0)


NO_MODELS = {"name": "gru", "class": memcore.GRU, "none": None, "dict": {"kind": "gru"}}


@pytest.mark.parametrize("name", NO_MODELS)
def test_what_is_no_model_is_named(name: str):
    words, params = "(?s)^model is .*, expected a memcore.Model", DROPOUT.init(0)
    for kind in (memory_nnx.Memory, memory_nnx.MemoryCell):
        for given in ({"rngs": nnx.Rngs(0)}, {"params": params}):
            with pytest.raises(TypeError, match=words):
                kind(NO_MODELS[name], **given)
    for module in (linen.Memory(NO_MODELS[name]), linen.MemoryCell(NO_MODELS[name])):
        with pytest.raises(TypeError, match=words):
            module.init(jax.random.key(0), jnp.zeros((2, 3)), jnp.zeros((2, 3)))


@pytest.mark.parametrize("rngs", [0, "params", jax.random.key(0)], ids=["int", "str", "key"])
def test_nnx_wrong_rngs_are_named(rngs: Any):
    with pytest.raises(TypeError, match="(?s)^rngs is .*, expected a flax.nnx.Rngs"):
        memory_nnx.Memory(DROPOUT, rngs=rngs)
    memory = memory_nnx.Memory(DROPOUT, params=DROPOUT.init(0))
    with pytest.raises(TypeError, match="(?s)^rngs is .*, expected a flax.nnx.Rngs"):
        memory(jnp.zeros((2, DROPOUT.in_features)), rngs=rngs)


def test_parameters_of_another_order_of_bytes_and_masked_ones():
    params = DROPOUT.init(0)
    swapped = jax.tree.map(lambda p: p.astype(p.dtype.newbyteorder()), params)
    assert_close(
        memory_nnx.Memory(DROPOUT, params=swapped).params, jax.tree.map(jnp.asarray, params), 0.0
    )
    with pytest.raises(TypeError, match="^params is a masked array"):
        memory_nnx.Memory(DROPOUT, params=jax.tree.map(np.ma.masked_array, params))


@pytest.mark.parametrize("given", [{}, {"rngs": 0, "params": {}}])
def test_nnx_exactly_one_of_rngs_and_params(given: dict[str, Any]):
    with pytest.raises(TypeError, match="MemoryCell takes rngs or params"):
        memory_nnx.MemoryCell(DROPOUT, **given)


@pytest.mark.parametrize("name", ["tokens", "learned_start"])
def test_nnx_training(name: str):
    c, traces = case(name), []
    memory = memory_nnx.Memory(c.model, rngs=nnx.Rngs(6))
    optimizer = nnx.Optimizer(memory, optax.sgd(0.05), wrt=nnx.Param)

    def loss(memory: memory_nnx.Memory) -> Any:
        _, ys = memory(c.xs, starts=c.starts)
        return jnp.mean((ys - 1.0) ** 2)

    @nnx.jit
    def train_step(memory: memory_nnx.Memory, optimizer: nnx.Optimizer) -> Any:
        traces.append(name)
        value, gradients = nnx.value_and_grad(loss)(memory)
        optimizer.update(memory, gradients)
        return value

    values = [float(train_step(memory, optimizer)) for _ in range(10)]
    assert len(traces) == 1
    assert values[-1] < values[0]
    _, ys = c.model.apply(memory.params, c.xs, starts=c.starts)
    assert_close(loss(memory), jnp.mean((ys - 1.0) ** 2))


def test_nnx_grad_of_a_cell_in_an_rnn():
    c = case("gru")
    rnn = nnx.RNN(memory_nnx.MemoryCell(c.model, params=c.params), return_carry=True)

    @nnx.jit
    @nnx.grad
    def run(rnn: nnx.RNN) -> Any:
        carry, ys = rnn(c.xs[:, :5])
        return cases.objective(carry["state"], ys)

    def by_core(params: Any) -> Any:
        return cases.objective(*c.model.apply(params, c.xs[:, :5]))

    gradients = nnx.to_pure_dict(run(rnn))["cell"]["memory"]
    assert_close(gradients, jax.grad(by_core)(c.params), GRADIENTS)


def test_nnx_split_update_and_merge():
    c = case("dropout")
    graph, state = nnx.split(NNX.bound(c))
    merged = nnx.merge(graph, state)
    assert_close(merged.params, c.params, 0.0)

    @jax.jit
    def run(state: Any, xs: Any) -> Any:
        return nnx.merge(graph, state)(xs, c.state, starts=c.starts)

    assert_close(run(state, c.xs), c.result)
    nnx.update(merged, jax.tree.map(jnp.zeros_like, state))
    assert_close(merged.params, jax.tree.map(jnp.zeros_like, c.params), 0.0)
    assert_close(NNX.bound(c).params, c.params, 0.0)  # what was given in is not changed


def test_nnx_dropout_follows_the_rngs_of_the_call():
    c = case("dropout")
    memory, rngs = NNX.bound(c), nnx.Rngs(dropout=4)
    _, plain = memory(c.xs)
    assert_close(plain, c.apply(c.xs)[1], 0.0)
    ys = [memory(c.xs, rngs=rngs)[1] for _ in range(2)]
    assert not np.allclose(ys[0], plain) and not np.allclose(ys[0], ys[1])
    assert_close(ys[0], c.apply(c.xs, key=nnx.Rngs(dropout=4).dropout())[1], 0.0)


@pytest.mark.parametrize("name", ["learned_start", "tokens"])
def test_nnx_ensemble(name: str):
    c = case(name)

    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def make(rngs: nnx.Rngs) -> memory_nnx.Memory:
        return memory_nnx.Memory(c.model, rngs=rngs)

    ensemble = make(nnx.Rngs(0))
    state, ys = nnx.vmap(lambda memory, xs: memory(xs), in_axes=(0, None))(ensemble, c.xs)
    params = ensemble.params
    for i in range(3):
        pick = lambda leaf, i=i: leaf[i]  # noqa: E731
        alone = c.model.apply(jax.tree.map(pick, params), c.xs)
        assert_close(jax.tree.map(pick, (state, ys)), alone)
    leaves = jax.tree.leaves(params)
    assert not np.allclose(leaves[0][0], leaves[0][1])


DEPLOYED = """
import sys
import numpy as np
import memcore
model, params = memcore.load("model.safetensors")
np.save("ys.npy", model.apply(params, np.load("xs.npy"), starts=np.load("starts.npy"))[1])
assert "jax" not in sys.modules
"""


@pytest.mark.parametrize("name", ["lru", "stack"])
def test_what_flax_trained_runs_on_numpy_alone(name: str, tmp_path: Path):
    c = case(name)
    module = linen.Memory(c.model)

    def loss(tree: Any) -> Any:
        return jnp.mean(module.apply(tree, c.xs, starts=c.starts)[1] ** 2)

    tree = variables(c.params)
    # A small step: a large one makes norms of nearly nothing, which magnify float32's rounding.
    tree = jax.tree.map(lambda p, g: p - 0.01 * g, tree, jax.grad(loss)(tree))
    memcore.save(tmp_path / "model.safetensors", c.model, tree["params"]["memory"])
    np.save(tmp_path / "xs.npy", c.xs)
    np.save(tmp_path / "starts.npy", c.starts)
    subprocess.run([sys.executable, "-c", DEPLOYED], cwd=tmp_path, check=True)
    _, ys = module.apply(tree, c.xs, starts=c.starts)
    assert_close(jnp.asarray(np.load(tmp_path / "ys.npy")), ys)
