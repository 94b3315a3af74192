"""Every model under `auto` on four devices, batch-sharded: the numbers and gradients of one device.

Run with ``XLA_FLAGS=--xla_force_host_platform_device_count=4``; left out where there are fewer devices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import memcore
from cases.models import MODELS

BATCH, LENGTH = 8, 6
KINDS = ("shard_map", "explicit", "automatic")


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


def loss_of(name: str) -> Callable[..., Any]:
    def loss(params: Any, xs: Any, state: Any, starts: Any) -> Any:
        import jax.numpy as jnp

        after, ys = MODELS[name].apply(params, xs, state, starts=starts)
        return jnp.sum(jnp.sin(ys)), after

    return loss


def on_four(name: str, kind: str, args: tuple[Any, ...]) -> Any:
    """``((loss, state), gradient)`` with the batch over the axis ``data``."""
    import jax
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    axis = AxisType.Explicit if kind == "explicit" else AxisType.Auto
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis,))
    split, whole = PartitionSpec("data"), PartitionSpec()
    loss = loss_of(name)
    if kind != "shard_map":
        args = jax.tree.map(
            lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec)),
            args,
            (jax.tree.map(lambda _: whole, args[0]), *jax.tree.map(lambda _: split, args[1:])),
        )
        with jax.set_mesh(mesh):
            return jax.jit(jax.value_and_grad(loss, has_aux=True))(*args)

    def run(params: Any, *rest: Any) -> Any:
        def total(params: Any) -> Any:
            value, after = loss(params, *rest)
            return jax.lax.psum(value, "data"), after

        return jax.value_and_grad(total, has_aux=True)(params)

    specs = (whole, split, split, split)
    outs = ((whole, split), whole)
    return jax.jit(jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=outs))(*args)


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
@pytest.mark.parametrize("given", [False, True], ids=["from nothing", "from a state"])
@pytest.mark.parametrize("name", MODELS)
def test_four_devices_are_one(name: str, given: bool, backend: Any) -> None:
    import jax

    args = problem(name, given)
    want = jax.jit(jax.value_and_grad(loss_of(name), has_aux=True))(*args)
    for kind in KINDS:
        got = on_four(name, kind, args)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4, err_msg=f"{name} {kind}")
