"""LaCT: golden vectors cut anywhere and with starts inside chunks, and what it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases.checks import close
from conftest import Backend
from golden_vectors import load
from memcore import ops

NAMES = ("w0", "w1", "w2")


def _memory(a: dict[str, np.ndarray], where: str) -> Any:
    weights = {n: a[f"{where}/{n}"] for n in NAMES}
    sums = {n: a.get(f"{where}/G{n}", np.zeros_like(w)) for n, w in weights.items()}
    return {"weights": weights, "sums": sums}


@pytest.mark.parametrize("method", ["sequential", "fused"])
@pytest.mark.parametrize("name", ["lact", "lact_start"])
def test_golden(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, a = load(name)
    arrays = {n: a[f"in/{n}"] for n in "qkv"} | {"rate": a["in/lr"]}
    params = backend.asarray({n: a[f"param/{n}"] for n in NAMES})
    for out, where in (("out", "param"), ("out_init", "init")):
        for cut, chunk_size in ((37, None), (1, None), (13, 4)):
            state = backend.asarray({"phase": np.zeros(2, np.int32), "memory": _memory(a, where)})
            outs = []
            for first, stop in ((0, cut), (cut, 37)):
                piece = backend.asarray({n: x[:, first:stop] for n, x in arrays.items()})
                starts = a["in/start"][:, first:stop] if "in/start" in a else None
                how: Any = {"starts": backend.asarray(starts), "method": method}
                how |= {"mini_batch": 8, "chunk_size": chunk_size}
                state, o = ops.lact(**piece, **params, state=state, **how)
                outs.append(np.asarray(o))
            got = np.concatenate(outs, axis=1), state["memory"]
            close(got, (a[f"{out}/o"], _memory(a, out)), entry["tolerance"]["float64_impl"])
            assert np.asarray(state["phase"]).tolist() == [37 % 8] * 2


def drawn(length: int) -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(0)
    arrays = {n: rng.standard_normal((2, length, 2, 3)) for n in "qkv"}
    arrays["rate"] = rng.uniform(0, 0.2, (2, length, 2))
    shapes = {"w0": (2, 4, 3), "w1": (2, 3, 4), "w2": (2, 4, 3)}
    return arrays, {n: rng.standard_normal(shape) for n, shape in shapes.items()}


@pytest.mark.parametrize("method", ["sequential", "fused"])
def test_a_row_never_reads_its_own_chunk(method: str, backend: Backend, x64: None) -> None:
    """Other keys and values in a chunk change nothing before the next one; all rows keep their norms."""
    arrays, params = drawn(12)
    other = {**arrays, "v": np.where(np.arange(12)[:, None, None] >= 4, 2.0, arrays["v"])}
    runs = [ops.lact(**backend.asarray(x), **backend.asarray(params), mini_batch=4, method=method)
            for x in (arrays, other)]  # fmt: skip
    one, two = (np.asarray(out) for _, out in runs)
    close(one[:, :8], two[:, :8])
    assert np.abs(one[:, 8:] - two[:, 8:]).min() > 0
    for name, w in params.items():
        got = np.linalg.norm(np.asarray(runs[0][0]["memory"]["weights"][name]), axis=-1)
        np.testing.assert_allclose(
            got, np.broadcast_to(np.linalg.norm(w, axis=-1), got.shape), 1e-4
        )


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("momentum", [False, True])
def test_methods_with_padding(size: int, momentum: bool, backend: Backend, x64: None) -> None:
    arrays, params = drawn(11)
    if momentum:
        arrays["momentum"] = np.random.default_rng(2).uniform(0, 1, (2, 11, 2))
    rng = np.random.default_rng(1)
    flags = {"starts": rng.random((2, 11)) < 0.2, "valid": rng.random((2, 11)) < 0.7}
    runs = [
        ops.lact(**backend.asarray({**arrays, **params, **flags}), mini_batch=size, method=method)
        for method in ("sequential", "fused")
    ]
    close(*runs)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", ["sequential", "fused"])
def test_what_is_not_finite_ends_at_a_start(method: str, backend: Backend) -> None:
    arrays, params = drawn(12)
    starts = np.arange(12) == 6
    how: Any = {**params, "mini_batch": 4, "starts": starts, "method": method}
    want = ops.lact(**arrays, **how)
    broken = {**arrays, "v": np.where(np.arange(12)[:, None, None] == 1, np.nan, arrays["v"])}
    state, out = ops.lact(**broken, **how)
    assert np.isnan(out[:, 4:6]).all()
    close((state, out[:, :4], out[:, 6:]), (want[0], want[1][:, :4], want[1][:, 6:]))


@pytest.mark.backend("numpy")
def test_three_rates(backend: Backend) -> None:
    """One for all is three of the same; a matrix whose rate is 0 stays as it is, but for eps in its norms."""
    arrays, params = drawn(12)
    three = np.stack([arrays["rate"]] * 3, axis=-1)
    runs = [
        ops.lact(**{**arrays, "rate": r}, **params, mini_batch=4) for r in (arrays["rate"], three)
    ]
    close(*runs)
    state, _ = ops.lact(**{**arrays, "rate": three * [1, 0, 1]}, **params, mini_batch=4)
    close(state["memory"]["weights"]["w1"][0], params["w1"], 1e-4)


@pytest.mark.backend("numpy")
def test_errors(backend: Backend) -> None:
    arrays, params = drawn(3)
    with pytest.raises(
        ValueError, match=r"^w1 has shape \(2, 4, 3\), expected \(2, 3, 4\) to match"
    ):
        ops.lact(**arrays, **{**params, "w1": params["w0"]})
    with pytest.raises(ValueError, match=r"^mini_batch is 0, expected a positive int"):
        ops.lact(**arrays, **params, mini_batch=0)


@pytest.mark.parametrize("size", [np.inf, 3e38, 1e25, 1e20])
def test_an_overflow_stays_in_its_segment(size: float, backend: Backend) -> None:
    """At step 8 of a segment from 5 to 11, across two chunks: no other segment changes, nor the past."""
    arrays, params = drawn(17)
    arrays, params = ({n: x.astype(np.float32) for n, x in a.items()} for a in (arrays, params))
    starts = np.isin(np.arange(17), (5, 12)) & np.ones((2, 1), bool)
    bad = {n: x.copy() for n, x in arrays.items()}
    bad["k"][0, 8] = bad["v"][0, 8] = size

    def run(arrays: Any, method: str) -> Any:
        given = backend.asarray({**arrays, **params, "starts": starts})
        with np.errstate(all="ignore"):
            state, out = ops.lact(**given, mini_batch=7, method=method)
        return np.asarray(out), state["memory"]["weights"]

    (want, after), (got, last) = run(arrays, "sequential"), run(bad, "fused")
    kept = np.r_[:8, 12:17]
    close((got[:, kept], got[1], last), (want[:, kept], want[1], after), 2e-5)
