"""Models on four devices, batch-sharded: the numbers and gradients of one device.

Run with ``XLA_FLAGS=--xla_force_host_platform_device_count=4``; left out where there are fewer devices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import memcore
from cases.models import EVERY_METHOD, MODELS, ON_JAX, ONE_PER_RULE, SAME_PARTS
from memcore import nn
from memcore.layers.block_linear import block_linear
from placements import KINDS, SPELLED, agree, nudged, on_four, on_one

BATCH, LENGTH = 8, 6


def problem(name: str, given: bool) -> tuple[Any, Any, Any, Any]:
    """Parameters, inputs, a state or None, and starts."""
    import jax
    import jax.numpy as jnp

    model, rng = MODELS[name], np.random.default_rng(0)
    params = jax.tree.map(jnp.asarray, model.init(0))
    if model.input_ndim:
        xs = rng.standard_normal((BATCH, LENGTH, model.in_features)).astype(np.float32)
    else:
        xs = rng.integers(0, model.in_features, (BATCH, LENGTH)).astype(np.int32)
    state = memcore.initial_state(model, params, (BATCH,)) if given else None
    return params, jnp.asarray(xs), state, jnp.asarray(rng.random((BATCH, LENGTH)) < 0.3)


def loss_of(name: str, method: str) -> Callable[..., Any]:
    def loss(params: Any, xs: Any, state: Any, starts: Any) -> Any:
        import jax.numpy as jnp

        after, ys = MODELS[name].apply(params, xs, state, starts=starts, method=method)
        return jnp.sum(jnp.sin(ys)), after

    return loss


RUNS = [(name, "auto", True, True) for name in ON_JAX if name not in SAME_PARTS]
"""``(model, method, with a state, with starts)``. By all of `KINDS` one model for each rule by `auto`; the
rest by `SPELLED`, by all with ``--whole``."""
RUNS += [(name, "auto", False, False) for name in ONE_PER_RULE]
RUNS += [(name, "auto", False, True) for name in ONE_PER_RULE]
RUNS += [(name, method, True, True) for name in EVERY_METHOD for method in MODELS[name].methods]


def kinds_of(name: str, method: str) -> tuple[str, ...]:
    return KINDS if method == "auto" and name in ONE_PER_RULE else SPELLED


WHOLE = [
    (name, method, given, starts)
    for name, model in MODELS.items()
    for method in ("auto", *model.methods)
    for given in (False, True)
    for starts in (False, True)
    if not (kinds_of(name, method) == KINDS and (name, method, given, starts) in RUNS)
]


def check(
    name: str, method: str, given: bool, starts: bool, kinds: tuple[str, ...] = KINDS
) -> None:
    """Values and the gradients of parameters, and of inputs that are numbers."""
    *args, flags = problem(name, given)
    args, loss = (*args, flags if starts else None), loss_of(name, method)
    floats = (0, 1) if MODELS[name].input_ndim else (0,)
    want = on_one(loss, args, floats)
    for kind in kinds:
        got = on_four(kind, loss, args, (False, True, True, True), floats)
        near = lambda: on_one(loss, nudged(args), floats)  # noqa: E731
        agree(got, want, f"{name} {method} {kind}", near=near)


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
@pytest.mark.parametrize(("name", "method", "given", "starts"), RUNS)
def test_four_devices_are_one(
    name: str, method: str, given: bool, starts: bool, backend: Any
) -> None:
    check(name, method, given, starts, kinds_of(name, method))


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
@pytest.mark.whole
@pytest.mark.parametrize(("name", "method", "given", "starts"), WHOLE)
def test_whole_matrix(name: str, method: str, given: bool, starts: bool, backend: Any) -> None:
    check(name, method, given, starts)


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
@pytest.mark.parametrize("blocks", [False, True])
def test_products_leave_a_time_that_is_split(blocks: bool, backend: Any) -> None:
    """Linear maps of an array whose time lies on several devices: no rows are made of it."""
    import jax
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 8, 16)).astype(np.float32)
    params = {"kernel": rng.standard_normal((4, 4, 4) if blocks else (16, 5)).astype(np.float32)}
    run = block_linear if blocks else nn.linear
    mesh = jax.make_mesh((4,), ("part",), axis_types=(AxisType.Explicit,))
    spec = PartitionSpec(None, "part", None)
    with jax.set_mesh(mesh):
        there = jax.device_put(x, NamedSharding(mesh, spec))
        got = jax.jit(run)(jax.tree.map(jax.numpy.asarray, params), there)
    assert jax.typeof(got).sharding.spec == spec
    np.testing.assert_allclose(got, run(params, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["gru", "lstm", "elman", "lru", "s6"])
def test_sequences_of_a_batch_ask_nothing_of_each_other(name: str) -> None:
    """The compiled run of a batch that lies on four devices has no collective."""
    import jax
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    params, xs, _, starts = problem(name, False)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    whole, split = (NamedSharding(mesh, spec) for spec in (PartitionSpec(), PartitionSpec("data")))
    params, xs, starts = jax.device_put((params, xs, starts), (whole, split, split))
    run = jax.jit(lambda p, x, s: MODELS[name].apply(p, x, starts=s)[1])
    text = run.lower(params, xs, starts).compile().as_text()
    for kind in ("all-gather", "all-reduce", "collective-permute", "reduce-scatter", "all-to-all"):
        assert kind not in text
