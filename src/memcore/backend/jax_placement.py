"""Where JAX arrays lie: the varying axes of ``shard_map``, and the shardings of explicit meshes."""

from __future__ import annotations

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from memcore.types import Array, Tree


def _varying(x: Array) -> frozenset[str]:
    kind = getattr(jax.typeof(x), "manual_axis_type", None)
    return frozenset(getattr(kind, "varying", ()) or ())


def cast_to(x: Array, axes: frozenset[str]) -> Array:
    """``x``, varying over ``axes`` too; the transpose is the sum that a replicated parameter needs."""
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.extended):
        return x  # a random key
    missing = tuple(axes - _varying(x))
    return jax.lax.pcast(x, missing, to="varying") if missing else x


def common(tree: Tree) -> Tree:
    leaves, structure = jax.tree.flatten(tree)
    arrays = [isinstance(leaf, jax.Array) for leaf in leaves]
    axes: frozenset[str] = frozenset()
    for leaf, is_array in zip(leaves, arrays, strict=True):
        axes |= _varying(leaf) if is_array else frozenset()
    if not axes:
        return tree
    leaves = [cast_to(jax.numpy.asarray(leaf), axes) for leaf in leaves]
    return jax.tree.unflatten(structure, leaves)


def _explicit(x: Array) -> Array:
    """The sharding of ``x`` on a mesh with explicit axes; None elsewhere."""
    sharding = jax.typeof(x).sharding
    explicit = not sharding.mesh.empty and AxisType.Explicit in sharding.mesh.axis_types
    return sharding if explicit else None


def rows(table: Array, index: Array) -> Array:
    where = _explicit(index)
    if where is None:
        return jax.numpy.take(table, index, axis=0)
    spec = PartitionSpec(*where.spec, *(None,) * (table.ndim - 1))
    return table.at[index].get(out_sharding=NamedSharding(where.mesh, spec))


def placed(x: Array, like: Array, axes: int) -> Array:
    x = cast_to(x, _varying(like))
    sharding = _explicit(like)
    if sharding is None:
        return x
    spec = PartitionSpec(*sharding.spec[:axes], *(None,) * (x.ndim - axes))
    return jax.sharding.reshard(x, NamedSharding(sharding.mesh, spec))
