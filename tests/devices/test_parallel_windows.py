"""Windows with time on several devices: which way they come, and what is sent, with padding and briefly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import memcore
from devices.test_parallel import BATCH, DEVICES, FLAGS, check, sent, split
from memcore import parallel
from placements import agree

pytestmark = [pytest.mark.backend("jax"), pytest.mark.devices(4)]

WINDOW, LENGTH = 3, 16
MODEL = memcore.Attention(8, heads=2, window=WINDOW)
ITEM = 2 * 8 + 1
"""Numbers of a place in the window: a key, a value, and whether it is filled."""


def problem(valid: Any) -> tuple[Any, ...]:
    """Parameters, inputs, a window that is filled, no starts, and a mask: pieces of four steps."""
    import jax
    import jax.numpy as jnp

    params = jax.tree.map(jnp.asarray, MODEL.init(0))
    xs = np.random.default_rng(0).standard_normal((BATCH, LENGTH, 8)).astype("float32")
    state, _ = MODEL.apply(params, jnp.asarray(xs[:, ::-1]))
    starts = jnp.zeros((BATCH, LENGTH), bool).at[1, 5].set(True)
    return params, jnp.asarray(xs), state, starts, jnp.asarray(valid)


def piece(params: Any, xs: Any, state: Any, starts: Any, valid: Any) -> Any:
    how = {"starts": starts, "valid": valid, "axis_name": "time"}
    return parallel.apply(MODEL, params, xs, state, **how)


def padding(*steps: int) -> Any:
    """A mask in which these steps of every sequence are padding."""
    valid = np.ones((BATCH, LENGTH), bool)
    valid[:, list(steps)] = False
    return valid


WAYS = {
    "every piece has a window": ("handed_on", padding(1, 6, 8, 15)),
    "the first and the last piece may have less": ("handed_on", padding(0, 1, 2, 12, 13, 14, 15)),
    "a piece has less": ("told", padding(8, 9)),
    "a piece has nothing": ("told", padding(4, 5, 6, 7)),
    "a sequence has a start where it has less": (
        "handed_on",
        padding() & ~((np.arange(BATCH) == 1)[:, None] & np.isin(np.arange(LENGTH), [6, 7])),
    ),
}  # fmt: skip
"""By which way windows come to the pieces, and a mask for it."""


@pytest.fixture
def traced_anew() -> Iterator[None]:
    """Nothing that was traced before counts, and nothing that is traced here counts later."""
    import jax

    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.mark.parametrize("name", WAYS)
def test_by_which_way_windows_come(
    name: str, backend: Any, monkeypatch: Any, traced_anew: None
) -> None:
    """The numbers of one device, where the other way would give none."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    way, valid = WAYS[name]
    other = {"handed_on": "told", "told": "handed_on"}[way]
    plain = getattr(memcore.engine.pieces, other)

    def wrong(*args: Any) -> Any:
        return jax.tree.map(lambda x: x if x.dtype == bool else x + jnp.inf, plain(*args))

    monkeypatch.setattr(memcore.engine.pieces, other, wrong)
    args = problem(valid)
    params, xs, state, starts, mask = args
    want = MODEL.apply(params, xs, state, starts=starts, valid=mask)
    got = split(piece, (P(), P(None, "time")), True)(*args)
    agree(got, want, name, tolerance=1e-5)


@pytest.mark.devices(8)
def test_groups_of_devices_go_one_way(backend: Any) -> None:
    """One row has a piece of padding, the other has not: all devices wait for each other in one message."""
    import jax
    from jax.sharding import AxisType
    from jax.sharding import PartitionSpec as P

    valid = padding()
    valid[0, 8:12] = False
    params, xs, state, starts, mask = problem(valid)
    mesh = jax.make_mesh((2, 4), ("data", "time"), axis_types=(AxisType.Auto,) * 2)
    rows, pieces = P("data"), P("data", "time")
    specs = {"in_specs": (P(), pieces, rows, pieces, pieces), "out_specs": (rows, pieces)}
    run = jax.jit(jax.shard_map(piece, mesh=mesh, **specs))
    want = MODEL.apply(params, xs, state, starts=starts, valid=mask)
    agree(run(params, xs, state, starts, mask), want, "two groups", tolerance=1e-5)


def test_what_is_sent_with_padding(backend: Any) -> None:
    """One `ppermute` of a window, or one `all_gather`, and a flag to agree which, whatever the length."""
    flags = 2  # of an element: a start, a valid step
    want = {
        "all-gather": sorted([DEVICES, FLAGS, DEVICES * BATCH * (WINDOW * ITEM + flags)]),
        "collective-permute": [BATCH * WINDOW * ITEM],
        "all-reduce": [BATCH * WINDOW * ITEM],
    }
    assert sent(MODEL, 4 * 16, valid=True) == sent(MODEL, 4 * 80, valid=True) == want


@pytest.mark.parametrize("steps", [1, 2])
def test_short_pieces_with_padding(steps: int, backend: Any, x64: None) -> None:
    """Windows of four steps reach over several pieces, and over more of them where steps are padding."""
    check("attention", DEVICES * steps, valid=True)


@pytest.mark.parametrize("steps", [1, 2])
def test_short_pieces_send_their_own_steps_alone(steps: int, backend: Any) -> None:
    """One `all_gather` of the pieces, which are shorter than a window."""
    model = memcore.Attention(8, heads=2, window=64)
    want = {
        "all-gather": sorted([FLAGS, DEVICES * BATCH * (steps * ITEM + 1)]),
        "all-reduce": [BATCH * 64 * ITEM],
    }
    assert sent(model, DEVICES * steps) == want
