"""The functions of memcore.ops on four devices, batch-sharded: the numbers and gradients of one device."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.accelerator import taken_for
from cases.ops import OPS, RULES
from placements import KINDS, SPELLED, agree, on_four, on_one

pytestmark = [pytest.mark.backend("jax"), pytest.mark.devices(4)]

LENGTH = 6
FIRST = [name for rule in RULES.values() for name in list(rule.cases)[:1]]
GIVEN = {
    "nothing": (),
    "a state": ("state",),
    "starts": ("starts",),
    "all": ("state", "starts", "initial"),
}
"""Which arguments a run is given beside its inputs."""


def floats32(tree: Any) -> Any:
    def leaf(x: Any) -> np.ndarray:
        x = np.asarray(x)
        return x.astype(np.float32) if x.dtype.kind == "f" else x

    return optree.tree_map(leaf, tree)


def problem(name: str) -> dict[str, Any]:
    """Four sequences: what is constant, what moves, a state, the state at starts, and starts."""
    op, rng = OPS[name], np.random.default_rng(0)
    draws = [op.draw(rng, LENGTH) for _ in range(2)]
    both = {k: np.concatenate([d[k] for d in draws]) for k in draws[0] if k not in op.constant}
    state, initial = (
        optree.tree_map(lambda *x: np.concatenate(x), op.state(rng), op.state(rng))
        for _ in range(2)
    )
    constant = {k: draws[0][k] for k in op.constant}
    made = {"constant": constant, "moving": both, "state": state, "initial": initial}
    return {**floats32(made), "starts": rng.random((4, LENGTH)) < 0.3}


def check(
    name: str,
    method: str,
    given: tuple[str, ...],
    chunk_size: int | None,
    kinds: tuple[str, ...] = KINDS,
) -> None:
    """Values and the gradients of everything that is floating point throughout."""
    import jax
    import jax.numpy as jnp

    made, op = problem(name), OPS[name]

    def loss(constant: Any, moving: Any, state: Any, initial: Any, starts: Any) -> Any:
        how = {"starts": starts, "initial": initial, "method": method, "chunk_size": chunk_size}
        after, out = op.run({**constant, **moving}, state, **how)
        return sum(jnp.sum(jnp.sin(o)) for o in jax.tree.leaves(out)), after

    names = ("state", "initial", "starts")
    chosen = [made["constant"], made["moving"], *(made[n] if n in given else None for n in names)]
    args = jax.tree.map(jnp.asarray, tuple(chosen))
    floats = tuple(
        i for i, arg in enumerate(args[:4])
        if arg is not None and all(x.dtype == jnp.float32 for x in jax.tree.leaves(arg))
    )  # fmt: skip
    want = on_one(loss, args, floats)
    for kind in kinds:
        got = on_four(kind, loss, args, (False, True, True, True, True), floats)
        agree(got, want, f"{name} {method} {kind}")


@pytest.mark.parametrize(
    ("name", "given"), [*((name, "all") for name in OPS), *((name, "nothing") for name in FIRST)]
)
def test_four_devices_are_one(name: str, given: str) -> None:
    """`auto`; chunks of four steps, the second not full; a case of each rule by all of `KINDS`, and alone."""
    kinds = KINDS if given == "all" and name in FIRST else SPELLED
    check(name, "auto", GIVEN[given], 4, kinds)


@pytest.mark.parametrize(
    "name",
    [
        "linear_attention_decay",
        "delta_rule_channel_decay",
        "mlstm",
        "linear_recurrence_complex",
        "dense_recurrence",
    ],
)
def test_as_they_run_on_gpus(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one step side by side, and prefix scans."""
    taken_for("gpu", monkeypatch)
    check(name, "fused", GIVEN["all"], 1)


@pytest.mark.whole
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("method", ["auto", "sequential", "associative", "chunked", "fused"])
@pytest.mark.parametrize("name", OPS)
def test_whole_matrix(name: str, method: str, given: str) -> None:
    check(name, method, GIVEN[given], None)
