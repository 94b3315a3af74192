"""Time on four devices, and on eight: the numbers, states and gradients of one, and what is sent.

Run with ``XLA_FLAGS=--xla_force_host_platform_device_count=8``; left out where there are fewer devices.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import memcore
from cases.models import MODELS, ON_JAX, ONE_PER_RULE
from memcore import parallel
from memcore.registry import alone
from placements import agree

DEVICES, BATCH = 4, 2


def runs_apart(model: memcore.Model) -> bool:
    return model.causal and all(cell.in_pieces for _, cell in model.recurrences())


APART = [name for name in ON_JAX if runs_apart(MODELS[name])]
TOGETHER = {
    "atlas", "elman", "gru", "ind_rnn", "lact", "lstm", "memora", "mgu", "moneta", "neural_memory",
    "omega_net", "rmt", "rtu", "segment_attention", "slstm", "slstm_layer", "titans_mac", "titans_mag",
    "titans_mal", "ttt_linear", "ttt_mlp", "yaad",
    "multi_head_trunk", "residual_stack",  # of GRUs
}  # fmt: skip
"""Models whose recurrences are not associative."""


def problem(name: str, length: int, valid: bool) -> tuple[Any, ...]:
    """Parameters, inputs, a state, starts (one of them where a piece begins) and a mask."""
    import jax
    import jax.numpy as jnp

    model, rng = MODELS[name], np.random.default_rng(length)
    params = jax.tree.map(jnp.asarray, model.init(0, "float64"))
    xs: Any = rng.standard_normal((BATCH, length, model.in_features))
    if not model.input_ndim:
        xs = rng.integers(0, model.in_features, (BATCH, length)).astype(np.int32)
    starts = rng.random((BATCH, length)) < 0.15
    starts[1, length // DEVICES * 2] = True
    mask = rng.random((BATCH, length)) < 0.8
    before = model.apply(params, jnp.asarray(xs))[0]
    return (
        params, jnp.asarray(xs), before, jnp.asarray(starts), jnp.asarray(mask) if valid else None,
    )  # fmt: skip


def split(run: Callable[..., Any], outs: Any, valid: bool, devices: int = DEVICES) -> Any:
    """``run(params, xs, state, starts, valid)`` with time over the devices."""
    import jax
    from jax.sharding import PartitionSpec as P

    mesh = jax.make_mesh((devices,), ("time",), axis_types=(jax.sharding.AxisType.Auto,))
    time = P(None, "time")
    specs = (P(), time, P(), time, time if valid else P())
    return jax.jit(jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=outs))


def losses(name: str, method: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """On one device, and on one piece: ``(loss, (state, ys))``."""
    import jax
    import jax.numpy as jnp

    model = MODELS[name]

    def whole(params: Any, xs: Any, state: Any, starts: Any, valid: Any) -> Any:
        after, ys = model.apply(params, xs, state, starts=starts, valid=valid, method=method)
        return jnp.sum(jnp.sin(ys)), (after, ys)

    def piece(params: Any, xs: Any, state: Any, starts: Any, valid: Any) -> Any:
        how = {"starts": starts, "valid": valid, "method": method, "axis_name": "time"}
        after, ys = parallel.apply(model, params, xs, state, **how)
        return jax.lax.psum(jnp.sum(jnp.sin(ys)), "time"), (after, ys)

    return whole, piece


def check(
    name: str, length: int, valid: bool, devices: int = DEVICES, method: str = "auto"
) -> None:
    import jax
    from jax.sharding import PartitionSpec as P

    floats = (0, 1) if MODELS[name].input_ndim else (0,)
    whole, piece = losses(name, method)
    args = problem(name, length, valid)
    want = jax.jit(jax.value_and_grad(whole, floats, has_aux=True))(*args)
    time = P(None, "time")
    outs = ((P(), (P(), time)), (P(), time)[: len(floats)])
    got = split(jax.value_and_grad(piece, floats, has_aux=True), outs, valid, devices)(*args)
    agree(got, want, f"{name} {length} {valid}", tolerance=1e-8)


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
@pytest.mark.parametrize("name", APART)
def test_time_on_four_devices_is_time_on_one(name: str, backend: Any, x64: None) -> None:
    check(name, 4 * 5, valid=True)


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
@pytest.mark.parametrize("name", [name for name in ONE_PER_RULE if name in APART])
def test_pieces_of_one_step(name: str, backend: Any, x64: None) -> None:
    """Windows and convolutions reach over several of them."""
    check(name, 4, valid=False)


@pytest.mark.backend("jax")
@pytest.mark.devices(8)
@pytest.mark.parametrize("name", ["lru", "gated_delta_net", "attention", "mamba"])
def test_time_on_eight_devices_is_time_on_one(name: str, backend: Any, x64: None) -> None:
    check(name, 8 * 3, valid=True, devices=8)


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
@pytest.mark.parametrize("steps", [4, 7])
@pytest.mark.parametrize("name", ["attention", "frame_stack", "mamba"])
def test_windows_are_handed_on(name: str, steps: int, backend: Any, x64: None) -> None:
    """Pieces that are as long as a window, and longer."""
    assert max(cell.reach or 0 for _, cell in MODELS[name].recurrences()) <= 4
    check(name, 4 * steps, valid=False)


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
def test_long_pieces_are_elements_by_chunks(backend: Any, x64: None) -> None:
    for name in ("lru", "linear_attention"):
        check(name, 4 * 150, valid=True)


@pytest.mark.backend("jax")
def test_which_models_run_in_pieces(backend: Any) -> None:
    """All registered ones as they are by default: a new one decides where it belongs."""
    models = {
        name: cls(8) for name, cls in alone().items() if cls.__module__.startswith("memcore.")
    }
    assert {name for name, model in models.items() if not runs_apart(model)} == TOGETHER


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
def test_inputs_alone_are_enough(backend: Any) -> None:
    """No state, no starts: what stands before the first piece is the same on all devices."""
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    model = memcore.LRU(3, state_size=4)
    params, xs = model.init(0), np.random.default_rng(0).normal(size=(2, 8, 3)).astype("float32")

    def piece(params: Any, xs: Any, state: Any, starts: Any, valid: Any) -> Any:
        return parallel.apply(model, params, xs, axis_name="time")

    got = split(piece, (P(), P(None, "time")), False)(params, jnp.asarray(xs), None, None, None)
    agree(got, model.apply(params, xs), "inputs alone", tolerance=1e-5)


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
def test_what_is_not_finite_stays_in_its_segment(backend: Any) -> None:
    """A NaN in the first piece, the next start in the third; and a state that is NaN."""
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    model = memcore.LRU(3, state_size=4)
    params, xs = model.init(0), np.random.default_rng(0).normal(size=(2, 12, 3)).astype("float32")
    xs[0, 1] = np.nan
    starts = np.zeros((2, 12), bool)
    starts[0, 7] = starts[1, 4] = True
    state = memcore.initial_state(model, params, (2,))
    for leaf in state:
        leaf[1] = np.nan
    want_state, want = model.apply(params, xs, state, starts=starts)

    def piece(params: Any, xs: Any, state: Any, starts: Any, valid: Any) -> Any:
        return parallel.apply(model, params, xs, state, starts=starts, axis_name="time")

    args = (params, jnp.asarray(xs), state, jnp.asarray(starts), None)
    got_state, got = split(piece, (P(), P(None, "time")), False)(*args)
    assert np.isnan(want[0, 1:7]).all() and np.isnan(want[1, :4]).all()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    agree(got_state, want_state, "state", tolerance=1e-5)


def sent(
    model: memcore.Model, length: int, method: str = "auto", valid: bool = False
) -> dict[str, list[int]]:
    """The collectives of the compiled program: of each kind the numbers that each brings."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    def piece(params: Any, xs: Any, state: Any, starts: Any, valid: Any) -> Any:
        how = {"starts": starts, "valid": valid, "method": method, "axis_name": "time"}
        return parallel.apply(model, params, xs, state, **how)

    params = jax.tree.map(jnp.asarray, model.init(0))
    xs = jnp.zeros((BATCH, length, model.in_features))
    state = memcore.initial_state(model, params, (BATCH,))
    every = jnp.ones(xs.shape[:2], bool)
    args = (params, xs, state, every, every if valid else None)
    text = split(piece, (P(), P(None, "time")), valid).lower(*args).compile().as_text()
    kinds = "all-gather|all-reduce|collective-permute|reduce-scatter|all-to-all"
    found: dict[str, list[int]] = {}
    for shapes, kind in re.findall(rf"= (\S.*?) ({kinds})(?:-start)?\(", text):
        axes = re.findall(r"\w+\[([\d,]*)\]", shapes)
        found.setdefault(kind, []).extend(
            math.prod(int(n) for n in a.split(",") if n) for a in axes
        )
    return {kind: sorted(numbers) for kind, numbers in found.items()}


FLAGS = 2 * BATCH * DEVICES
"""Of every run: whether a piece is spoiled by what is not finite, and whether it has a start."""
SENT = {
    "lru": (memcore.LRU(4, state_size=3), [1 + 4 * 3], [], 2 * 3),
    "gated_delta_net": (
        memcore.GatedDeltaNet(4, heads=2), [1 + 2 * 2 * (2 + 2)], [3 * 12 + 3], 2 * 2 * 2 + 3 * 12 + 3,
    ),
    "mamba": (memcore.Mamba(4, state_size=3), [1 + 2 * 8 * 3], [3 * 8 + 3], 8 * 3 + 3 * 8 + 3),
    "attention": (
        memcore.Attention(8, heads=2, window=5), [], [5 * (2 * 8 + 1)], 5 * (2 * 8 + 1),
    ),
}  # fmt: skip
"""Models, and for each sequence what an element of each of their recurrences has, what a window is, and the
state."""


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
@pytest.mark.parametrize("name", SENT)
def test_what_is_sent(name: str, backend: Any) -> None:
    """One `all_gather` for each recurrence and one `ppermute` for each window, whatever the length."""
    model, elements, windows, state = SENT[name]
    want = {
        "all-gather": sorted([FLAGS, *(DEVICES * BATCH * n for n in elements)]),
        "collective-permute": sorted(BATCH * n for n in windows),
        "all-reduce": [BATCH * state],
    }
    want = {kind: numbers for kind, numbers in want.items() if numbers}
    assert sent(model, 4 * 16) == sent(model, 4 * 80) == want


@pytest.mark.backend("jax")
@pytest.mark.devices(4)
def test_what_does_not_run_in_pieces_is_named(backend: Any) -> None:
    import jax
    import jax.numpy as jnp

    xs = jnp.zeros((2, 4, 4))
    wrong = {
        "'gated_cell', whose pieces do not run side by side: expected associative": memcore.GRU(4),
        "window; memcore.parallel.apply runs it with method='newton' as well": memcore.LSTM(4),
        "'window_attention', whose pieces .* window$": memcore.Attention(
            8, window=None, capacity=8
        ),
        "which is not causal": memcore.Bidirectional(memcore.LRU(4)),
        "'layer_1/gated_cell'": memcore.ResidualStack(
            4, model=(memcore.LRU(4), memcore.GRU(4)), layers=2
        ),
    }
    for message, model in wrong.items():
        with pytest.raises(ValueError, match=message):
            parallel.apply(model, model.init(0), xs, axis_name="time")
    model = memcore.LRU(4)
    with pytest.raises(ValueError, match="axis_name is 'time', expected an axis of the jax.shard"):
        parallel.apply(model, jax.tree.map(jnp.asarray, model.init(0)), xs, axis_name="time")
    with pytest.raises(TypeError, match="xs is a ndarray, expected a JAX array"):
        parallel.apply(model, model.init(0), np.zeros((2, 4, 4)), axis_name="time")
    with pytest.raises(TypeError, match="model is 'lru', expected a memcore.Model"):
        parallel.apply("lru", {}, xs, axis_name="time")  # type: ignore[arg-type]
    for name in (0, ["time"], None):
        with pytest.raises(TypeError, match="axis_name is .*, expected the name of an axis of the"):
            parallel.apply(model, {}, xs, axis_name=name)  # type: ignore[arg-type]
