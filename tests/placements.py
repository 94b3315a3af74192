"""A loss and its gradients on four devices, batch-sharded, in each of the ways that JAX has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

KINDS = ("shard_map", "explicit", "automatic")
SPELLED = KINDS[:2]
"""Those in which the library's own code says how arrays lie; in the third XLA finds it out alone."""


def on_one(loss: Callable[..., Any], args: tuple[Any, ...], floats: tuple[int, ...]) -> Any:
    """``((value, aux), gradients)`` of ``loss(*args)``, by the arguments ``floats``."""
    import jax

    return jax.jit(jax.value_and_grad(loss, floats, has_aux=True))(*args)


def on_four(
    kind: str,
    loss: Callable[..., Any],
    args: tuple[Any, ...],
    split: tuple[bool, ...],
    floats: tuple[int, ...],
) -> Any:
    """The same with the first axis of the arguments ``split``, and of ``aux``, over four devices."""
    import jax
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    axis = AxisType.Explicit if kind == "explicit" else AxisType.Auto
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis,))
    specs = tuple(PartitionSpec("data") if s else PartitionSpec() for s in split)
    if kind != "shard_map":
        args = tuple(
            jax.tree.map(lambda x, spec=spec: jax.device_put(x, NamedSharding(mesh, spec)), arg)
            for arg, spec in zip(args, specs, strict=True)
        )
        with jax.set_mesh(mesh):
            return on_one(loss, args, floats)

    def total(*args: Any) -> Any:
        value, aux = loss(*args)
        return jax.lax.psum(value, "data"), aux

    def run(*args: Any) -> Any:
        return jax.value_and_grad(total, floats, has_aux=True)(*args)

    outs = ((PartitionSpec(), PartitionSpec("data")), tuple(specs[i] for i in floats))
    return jax.jit(jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=outs))(*args)


def agree(
    got: Any, want: Any, what: str, tolerance: float = 2e-4, near: Callable[[], Any] | None = None
) -> None:
    """Two trees have the same numbers.

    What is ill-conditioned may differ as much as ``near()`` does from ``want``: the same of inputs that are
    rounded otherwise. It is looked at where a leaf differs more than the tolerance.
    """
    import jax

    moved = None
    for i, (a, b) in enumerate(zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True)):
        a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
        slack = 0.0
        if near is not None and not np.allclose(a, b, rtol=tolerance, atol=tolerance):
            moved = jax.tree.leaves(near()) if moved is None else moved
            slack = 2 * np.max(np.abs(np.asarray(moved[i], dtype=np.float64) - b))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance + slack, err_msg=what)


def nudged(tree: Any) -> Any:
    """Floating point numbers some roundings off, to either side."""
    import jax

    rng = np.random.default_rng(1)

    def leaf(x: Any) -> Any:
        if not np.issubdtype(x.dtype, np.floating):
            return x
        return x * (1 + 2.0**-21 * rng.choice([-1, 1], x.shape)).astype(x.dtype)

    return jax.tree.map(leaf, tree)
