"""What the converters and the flags of a run accept, and what they refuse by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from memcore import ops

GRU = memcore.GRU(3, hidden_size=4)
COUNTERS = {
    "lengths": lambda x: memcore.starts_from_lengths(x, 8),
    "valid": lambda x: memcore.valid_from_lengths(x, 8),
    "cu_seqlens": lambda x: memcore.starts_from_cu_seqlens(x, 8),
    "segment_ids": memcore.starts_from_segment_ids,
}


def check(got: Any, want: Any) -> None:
    got = np.asarray(got)
    assert got.dtype == bool
    np.testing.assert_array_equal(got, np.array(want, dtype=bool))


# --- numbers that are no counts --------------------------------------------------------------------

NO_INTEGERS = {
    "halves": [2.5, 3.0],
    "whole floats": [2.0, 3.0],
    "nan": [0.0, np.nan],
    "float16": np.array([2048, 1], "float16"),
    "complex": [1j, 2],
    "strings": ["2", "3"],
    "none": None,
    "nones": [None, 1],
    "huge": [2**70],
    "ragged": [[1, 2], [3]],
    "set": {1, 2},
    "masked": np.ma.array([2, 3], mask=[True, False]),
    "dates": np.array(["2020-01-01"], "datetime64[D]"),
}


@pytest.mark.parametrize("kind", NO_INTEGERS)
@pytest.mark.parametrize("name", COUNTERS)
def test_no_integers(name: str, kind: str) -> None:
    argument = "lengths" if name == "valid" else name
    with pytest.raises(TypeError, match=rf"^{argument} (is|has dtype) .*, expected integers"):
        COUNTERS[name](NO_INTEGERS[kind])
    if name == "segment_ids" and NO_INTEGERS[kind] is not None:
        with pytest.raises(TypeError, match=r"^previous (is|has dtype) .*, expected integers"):
            memcore.starts_from_segment_ids([[1, 2]], previous=NO_INTEGERS[kind])


@pytest.mark.parametrize("name", COUNTERS)
def test_floats_of_any_library(name: str, backend: Backend) -> None:
    with pytest.raises(TypeError, match=r"has dtype .*float32, expected integers"):
        COUNTERS[name](backend.asarray(np.array([0, 2], "float32")))


def test_booleans_are_ids_and_no_lengths() -> None:
    check(memcore.starts_from_segment_ids([True, True, False]), [1, 0, 1])
    with pytest.raises(TypeError, match=r"^lengths has dtype bool, expected integers"):
        memcore.starts_from_lengths([True, False], 4)


@pytest.mark.parametrize("total", ["8", 8.0, None, True, [8], np.float32(8), np.array([8])])
def test_total(total: Any) -> None:
    for name in ("starts_from_lengths", "valid_from_lengths"):
        with pytest.raises(
            TypeError, match=rf"^total is {re.escape(repr(total))}, expected an int"
        ):
            getattr(memcore, name)([2, 3], total)
    if total is not None:
        with pytest.raises(TypeError, match=r"^total is .*, expected an int"):
            memcore.starts_from_cu_seqlens([0, 2], total)


def test_total_below_zero_and_of_numpy() -> None:
    with pytest.raises(ValueError, match=r"^total is -1, expected none below 0"):
        memcore.starts_from_lengths([], -1)
    check(memcore.starts_from_lengths([1], np.int8(3)), [1, 1, 0])


# --- counts that do not fit ------------------------------------------------------------------------


def test_values_that_do_not_fit(backend: Backend) -> None:
    """They are known outside JAX's transformations, in every library."""

    def array(*values: int, dtype: str = "int32") -> Any:
        return backend.asarray(np.array(values, dtype))

    with pytest.raises(ValueError, match=r"^lengths has -1, expected none to be negative"):
        memcore.starts_from_lengths(array(3, -1), 6)
    with pytest.raises(ValueError, match=r"^lengths has -1, expected none to be negative"):
        memcore.valid_from_lengths(array(3, -1), 6)
    with pytest.raises(ValueError, match=r"^lengths add up to 7, expected at most total=6"):
        memcore.starts_from_lengths(array(3, 4), 6)
    with pytest.raises(ValueError, match=r"^lengths has 7, expected at most total=6"):
        memcore.valid_from_lengths(array(3, 7), 6)
    with pytest.raises(ValueError, match=r"^cu_seqlens is \[0, 5, 3\], expected .* not decrease"):
        memcore.starts_from_cu_seqlens(array(0, 5, 3, dtype="uint8"))
    with pytest.raises(ValueError, match=r"^cu_seqlens ends at 5, expected at most total=4"):
        memcore.starts_from_cu_seqlens(array(0, 5), 4)


def test_sums_that_would_wrap_around() -> None:
    with pytest.raises(ValueError, match=r"^lengths add up to \d+, expected at most total=6"):
        memcore.starts_from_lengths([2**62, 2**62, 2**62, 2**62], 6)


def test_ids_beyond_a_dtype(backend: Backend) -> None:
    largest = backend.asarray(np.array([2**32 - 1, 0], "uint32"))
    before = backend.asarray(np.array(-1, "int32"))
    check(memcore.starts_from_segment_ids(largest, before), [1, 1])
    ids = backend.asarray(np.array([0, 0], "int32"))
    if backend.name == "jax":
        with pytest.raises(
            ValueError, match=r"^previous is 4294967296, expected integers of int32"
        ):
            memcore.starts_from_segment_ids(ids, 2**32)
    else:
        check(memcore.starts_from_segment_ids(ids, 2**32), [1, 0])


@pytest.mark.backend("jax")
def test_traced_cumulative_lengths_need_a_total(backend: Backend) -> None:
    import jax

    with pytest.raises(TypeError, match=r"^total is None, expected an int where .* are traced"):
        jax.jit(memcore.starts_from_cu_seqlens)(backend.asarray(np.array([0, 2], "int32")))


@pytest.mark.backend("jax")
def test_a_total_that_export_leaves_open(backend: Backend) -> None:
    import jax
    from jax import export

    def f(lengths: Any, xs: Any) -> Any:
        total = xs.shape[0]
        starts = memcore.starts_from_lengths(lengths, total)
        return starts, memcore.valid_from_lengths(lengths, total)

    (time,) = export.symbolic_shape("t")
    shapes = jax.ShapeDtypeStruct((2,), "int32"), jax.ShapeDtypeStruct((time,), "float32")
    exported = export.export(jax.jit(f))(*shapes)
    lengths, xs = backend.asarray((np.array([2, 1], "int32"), np.zeros(4, "float32")))
    starts, valid = exported.call(lengths, xs)
    check(starts, [1, 0, 1, 1])
    check(valid, [[1, 1, 0, 0], [1, 0, 0, 0]])


# --- the mask --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_valid_from_lengths(dtype: str, backend: Backend) -> None:
    lengths = backend.asarray(np.array([[0, 2], [100, 3]], dtype))
    want = np.arange(300) < np.array([[0, 2], [100, 3]])[..., None]
    check(memcore.valid_from_lengths(lengths, 300), want)


def test_valid_of_lists_one_row_and_none() -> None:
    check(memcore.valid_from_lengths([1, 3], 3), [[1, 0, 0], [1, 1, 1]])
    check(memcore.valid_from_lengths(2, 3), [1, 1, 0])
    check(memcore.valid_from_lengths(np.int16(2), 3), [1, 1, 0])
    assert memcore.valid_from_lengths([], 3).shape == (0, 3)
    assert memcore.valid_from_lengths([0], 0).shape == (1, 0)


@pytest.mark.backend("jax")
def test_valid_under_jit(backend: Backend) -> None:
    import jax

    lengths = backend.asarray(np.array([1, 3], "int32"))
    mask = jax.jit(memcore.valid_from_lengths, static_argnums=1)(lengths, 3)
    check(mask, [[1, 0, 0], [1, 1, 1]])


def test_the_mask_is_that_of_a_run(backend: Backend) -> None:
    """A padded row == its sequence alone."""
    xs = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    params, inputs = backend.asarray((GRU.init(0), xs))
    valid = memcore.valid_from_lengths(backend.asarray(np.array([2, 4], "int32")), 5)
    state, ys = backend.to_numpy(GRU.apply(params, inputs, valid=valid))
    for row, length in enumerate([2, 4]):
        alone = GRU.apply(params, backend.asarray(xs[row, :length]))
        np.testing.assert_allclose(state[row], np.asarray(alone[0]), atol=1e-6)
        np.testing.assert_allclose(ys[row, :length], np.asarray(alone[1]), atol=1e-6)
        assert not ys[row, length:].any()


# --- flags as a simulator gives them ---------------------------------------------------------------

KINDS = ["bool", "int8", "uint8", "int32", "float32"]
BITS = np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]])


@pytest.mark.parametrize("dtype", KINDS)
def test_flags_of_every_kind(dtype: str, backend: Backend) -> None:
    xs = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    params, inputs, flags = backend.asarray((GRU.init(0), xs, BITS.astype(dtype)))
    wanted = backend.asarray(BITS.astype(bool))
    for name in ("starts", "valid"):
        for a, b in zip(
            GRU.apply(params, inputs, **{name: flags}),
            GRU.apply(params, inputs, **{name: wanted}),
            strict=True,
        ):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    state = memcore.initial_state(GRU, params, (2,))
    for a, b in zip(
        memcore.step(GRU, params, state, inputs[:, 0, :], start=flags[:, 0]),
        memcore.step(GRU, params, state, inputs[:, 0, :], start=wanted[:, 0]),
        strict=True,
    ):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    check(memcore.starts_from_dones(flags, flags[..., -1]), np.roll(BITS, 1, axis=-1))


@pytest.mark.parametrize("dtype", KINDS)
def test_flags_of_a_rule(dtype: str, backend: Backend) -> None:
    b = np.ones((2, 5, 3), "float32")
    a, b, flags = backend.asarray((b / 2, b, BITS.astype(dtype)))
    for reverse in (False, True):
        got = ops.linear_recurrence(a, b, starts=flags, valid=flags, reverse=reverse)[1]
        wanted = backend.asarray(BITS.astype(bool))
        want = ops.linear_recurrence(a, b, starts=wanted, valid=wanted, reverse=reverse)[1]
        np.testing.assert_array_equal(np.asarray(got), np.asarray(want))


Taker = Callable[[Any], Any]
TAKERS: dict[str, tuple[str, Taker]] = {
    "dones": ("dones", memcore.starts_from_dones),
    "previous": ("previous", lambda x: memcore.starts_from_dones(np.zeros((2, 5, 3), bool), x)),
    "starts": ("starts", lambda x: GRU.apply(GRU.init(0), np.ones((2, 5, 3)), starts=x)),
    "valid": ("valid", lambda x: GRU.apply(GRU.init(0), np.ones((2, 5, 3)), valid=x)),
    "rule": ("starts", lambda x: ops.linear_recurrence(np.ones((2, 5, 3)), np.ones((2, 5, 3)),
                                                       starts=x)),
}  # fmt: skip


@pytest.mark.parametrize("value", [2, -1, 255, 0.5, 1 + 1e-12, 1e-300, np.nan, np.inf])
@pytest.mark.parametrize("taker", TAKERS)
def test_numbers_that_are_no_flags(taker: str, value: float) -> None:
    name, take = TAKERS[taker]
    flags = np.zeros((2, 5), type(value))
    flags[1, 3] = value
    with pytest.raises(ValueError, match=rf"^{name} has the value {value}, expected only 0 and 1"):
        take(flags)


@pytest.mark.parametrize(
    "flags",
    [np.zeros((2, 5), complex), np.full((2, 5), "0"), np.full((2, 5), None), [[0], [0, 1]],
     np.ma.zeros((2, 5))],
    ids=["complex", "strings", "objects", "ragged", "masked"],
)  # fmt: skip
@pytest.mark.parametrize("taker", ["dones", "previous"])
def test_kinds_that_are_no_flags(taker: str, flags: Any) -> None:
    name, take = TAKERS[taker]
    with pytest.raises(TypeError, match=rf"^{name} (is|has dtype) .*, expected bool"):
        take(flags)


@pytest.mark.parametrize("dtype", ["complex64", "<U1", "object"])
@pytest.mark.parametrize("taker", ["starts", "valid", "rule"])
def test_dtypes_that_are_no_flags(taker: str, dtype: str) -> None:
    name, take = TAKERS[taker]
    with pytest.raises(TypeError, match=rf"^{name} has dtype .*, expected bool"):
        take(np.zeros((2, 5), dtype))
