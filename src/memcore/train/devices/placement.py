"""Where the arrays of a run are: on one device, or on the devices of a mesh."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import memcore
from memcore import parallel
from memcore.cell import Model
from memcore.engine.pieces import check_pieces
from memcore.tasks import Batch
from memcore.train.devices.hosts import part
from memcore.types import Array, Params, Starts, State, Tree

if TYPE_CHECKING:
    from memcore.train.learners import Learner

DATA = "data"
"""The axis of a mesh over which the rows of a batch are split."""

TIME = "time"
"""The axis over which every sequence is split, into consecutive pieces."""

LARGE = 4_096
"""Numbers of an array that `shard_parameters` splits, at least: a smaller one saves less than it costs."""

Apply: TypeAlias = Callable[..., tuple[State, Array]]
"""``(state, ys)`` of ``apply(xs, state, starts=...)``."""


@dataclass(frozen=True)
class Placement:
    """How a run is laid over the devices of a mesh; without one, everything is where JAX puts it.

    Rows of a batch, and the state that is carried with them, are split over the axis `data`, the steps of a
    batch over the axis `time`; a mesh has both, one of them with a single device if need be. Parameters and
    optimizer state are whole on every device; with `shard_parameters` the large ones are split over all
    devices, along their longest side that divides. The computation is the one of a single device, laid out by
    `jit` after its arguments, but for the model, which runs in pieces over `time`: the numbers differ by the
    rounding of sums alone.

    It is no part of a run's configuration: a run goes on with any other.
    """

    mesh: Mesh | None = None
    shard_parameters: bool = False

    @property
    def ways(self) -> int:
        """Into how many pieces the rows of a batch are split."""
        return 1 if self.mesh is None else self.mesh.shape[DATA]

    @property
    def pieces(self) -> int:
        """Into how many pieces every sequence is split."""
        return 1 if self.mesh is None else self.mesh.shape[TIME]

    def check(self, model: Model, rows: int, steps: int) -> None:
        """Raise ValueError where `model`, or a batch of so many rows and steps, cannot be laid out so."""
        if rows % self.ways:
            raise ValueError(
                f"batch_size is {rows}, expected a multiple of the {self.ways} devices of the mesh's axis "
                "data"
            )
        if steps % self.pieces:
            raise ValueError(
                f"mesh has {self.pieces} devices on its axis time, expected a number that divides the "
                f"{steps} steps of a sequence"
            )
        if self.pieces > 1:
            check_pieces(model)

    def apply(self, whole: Apply, model: Model, params: Params) -> Apply:
        """`whole`, which runs `model` with `params` over a batch; in pieces where time is split."""
        return whole if self.pieces == 1 else partial(self._in_pieces, model, params)

    def _in_pieces(
        self, model: Model, params: Params, xs: Array, state: State, *, starts: Starts
    ) -> tuple[State, Array]:
        def piece(params: Params, xs: Array, state: State, starts: Starts) -> tuple[State, Array]:
            return parallel.apply(model, params, xs, state, starts=starts, axis_name=TIME)

        rows, steps = PartitionSpec(DATA), PartitionSpec(DATA, TIME)
        specs: dict[str, Any] = {
            "in_specs": (PartitionSpec(), steps, rows, steps),
            "out_specs": (rows, steps),
        }
        return jax.shard_map(piece, mesh=self.mesh, **specs)(params, xs, state, starts)

    def rows(self, batch: Batch) -> Tree:
        """A batch on its devices. On several hosts each gives its `share` of the rows, of which it takes the
        steps that its devices hold."""
        if self.mesh is None:
            return batch
        split = NamedSharding(self.mesh, PartitionSpec(DATA, TIME))
        index, count = self._own(TIME)
        own = {k: v.reshape(len(v), count, -1, *v.shape[2:])[:, index] for k, v in batch.items()}
        return {k: jax.make_array_from_process_local_data(split, v) for k, v in own.items()}

    @property
    def share(self) -> tuple[int, int]:
        """Which part of a batch's rows this host gives, from 0, and of how many."""
        return self._own(DATA)

    def _own(self, axis: str) -> tuple[int, int]:
        """Which part of an axis this host's devices are, and of how many."""
        if self.mesh is None:
            return 0, 1
        host, _ = part()
        devices, side = self.mesh.devices, self.mesh.axis_names.index(axis)
        own = [
            place[side]
            for place in np.ndindex(*devices.shape)
            if devices[place].process_index == host
        ]
        size = max(own) + 1 - min(own)
        return min(own) // size, devices.shape[side] // size

    def filled(self, rows: int) -> int:
        """The least multiple of `ways` that is not less than `rows`."""
        return -(-rows // self.ways) * self.ways

    def own(self, batch: Batch) -> Batch:
        """Of a batch that every host has whole, the rows that this one gives."""
        index, count = self.share
        return {k: v[index::count] for k, v in batch.items()}

    def begin(self, model: Model, params: Params, rows: int) -> State:
        """The model's state before the first step of so many rows."""
        if self.mesh is None:
            return memcore.initial_state(model, params, (rows,))
        split = NamedSharding(self.mesh, PartitionSpec(DATA))
        make = jax.jit(
            lambda params: memcore.initial_state(model, params, (rows,)), out_shardings=split
        )
        return make(params)

    def put(self, learner: "Learner") -> None:
        """Lay out what a learner trains."""
        if self.mesh is not None:
            places = jax.tree.map(self._place, learner.state)
            learner.state = jax.device_put(learner.state, places)

    def whole(self, tree: Tree) -> Tree:
        """Arrays that every device, and so every host, has whole."""
        if self.mesh is None:
            return tree
        return jax.jit(lambda x: x, out_shardings=NamedSharding(self.mesh, PartitionSpec()))(tree)

    def optimizer(self, plain: optax.GradientTransformation) -> optax.GradientTransformation:
        """`plain`, whose updates and state stay where the parameters and the state before are."""
        if self.mesh is None:
            return plain

        def update(gradients: Tree, state: Tree, params: Params | None = None) -> tuple[Tree, Tree]:
            updates, after = plain.update(self._stay(gradients), state, params)
            return self._stay(updates), self._stay(after)

        return optax.GradientTransformation(plain.init, update)

    def _stay(self, tree: Tree) -> Tree:
        return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, self._place(x)), tree)

    def _place(self, leaf: jax.Array) -> NamedSharding:
        """By the shape alone: a parameter and what the optimizer keeps of it lie alike."""
        assert self.mesh is not None
        shape = np.shape(leaf)
        sides = [side for side, size in enumerate(shape) if size % self.mesh.size == 0]
        if not (self.shard_parameters and sides and math.prod(shape) >= LARGE):
            return NamedSharding(self.mesh, PartitionSpec())
        longest = max(sides, key=lambda side: shape[side])
        axes = tuple(name for name, size in self.mesh.shape.items() if size > 1)
        return NamedSharding(self.mesh, PartitionSpec(*[None] * longest, axes))


ONE_DEVICE = Placement()


def place(axes: Sequence[tuple[str, int]], shard_parameters: bool = False) -> Placement:
    """A placement on a mesh of these axes, made of as many devices of each host; on all devices, by rows,
    without axes.

    Raises ValueError for more devices than there are, or a number that the hosts cannot share.
    """
    _, hosts = part()
    sizes = dict(axes) or {DATA: jax.device_count()}
    rows, pieces = sizes.get(DATA, 1), sizes.get(TIME, 1)
    wanted, text = rows * pieces, ",".join(f"{k}={n}" for k, n in sizes.items())
    if wanted > jax.device_count():
        raise ValueError(
            f"mesh is {text}, which is {wanted} devices, expected at most the {jax.device_count()} there are"
        )
    each = wanted // hosts
    if wanted % hosts or pieces % each and each % pieces:
        raise ValueError(
            f"mesh is {text}, expected as many devices of each of the {hosts} hosts: a number that divides "
            "the axis time, where hosts share sequences, or a multiple of it"
        )
    devices = [d for host in range(hosts) for d in jax.local_devices(host)[:each]]
    if len(devices) < wanted:
        raise ValueError(
            f"mesh is {text}, which is {each} devices of each of the {hosts} hosts, expected at most those "
            "of the smallest"
        )
    kinds = (AxisType.Auto,) * 2
    mesh = jax.make_mesh((rows, pieces), (DATA, TIME), axis_types=kinds, devices=devices)
    return Placement(mesh, shard_parameters)
