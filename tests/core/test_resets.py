"""Starts: the conventions that become them, and the resettable operator."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memcore
from conftest import Backend
from memcore.engine import resets


def bits(text: str) -> list[bool]:
    return [c == "1" for c in text]


def check(got: Any, want: Any) -> None:
    got = np.asarray(got)
    assert got.dtype == bool
    np.testing.assert_array_equal(got, np.array(want, dtype=bool))


# --- dones -----------------------------------------------------------------------------------------


def test_dones(backend: Backend) -> None:
    dones = backend.asarray(np.array([bits("00101"), bits("10001")]))
    check(memcore.starts_from_dones(dones), [bits("00010"), bits("01000")])
    last = backend.asarray(np.array([True, False]))
    check(memcore.starts_from_dones(dones, last), [bits("10010"), bits("01000")])
    check(memcore.starts_from_dones(dones, dones[..., -1]), [bits("10010"), bits("11000")])


def test_dones_of_numbers_and_lists() -> None:
    check(memcore.starts_from_dones([0.0, 1.0, 0.0], previous=1), bits("101"))
    check(
        memcore.starts_from_dones([[0, 1, 0], [1, 0, 0]], previous=True), [bits("101"), bits("110")]
    )


def test_dones_in_pieces_are_dones_at_once() -> None:
    dones = np.random.default_rng(0).random((3, 12)) < 0.3
    whole = memcore.starts_from_dones(dones)
    first = memcore.starts_from_dones(dones[:, :5])
    second = memcore.starts_from_dones(dones[:, 5:], previous=dones[:, 4])
    check(np.concatenate([first, second], axis=1), whole)


def test_trials(backend: Backend) -> None:
    """RL^2: a trial of 3 steps begins afresh, and an episode does not."""
    check(memcore.starts_from_trials(3, 8), bits("10010010"))
    before = backend.asarray(np.array([[3], [4]], "uint8"))
    check(memcore.starts_from_trials(3, 5, before), [[bits("10010")], [bits("00100")]])
    whole = memcore.starts_from_trials(4, 11)
    late = backend.asarray(
        np.array(2**31 - 2, "int32")
    )  # one step into a trial of 5, where int32 ends
    check(memcore.starts_from_trials(5, 7, late), bits("0000100"))
    parts = [memcore.starts_from_trials(4, n, before) for n, before in ((6, 0), (5, 6))]
    check(np.concatenate(parts), whole)
    for call, message in (
        (lambda: memcore.starts_from_trials(0, 3), "^steps_per_trial is 0, expected"),
        (lambda: memcore.starts_from_trials(2, 3, [-1]), "^before has -1, expected none below"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="^before has dtype float64, expected integers"):
        memcore.starts_from_trials(2, 3, 1.0)


@pytest.mark.parametrize("previous", [None, True])
def test_no_steps_at_all(previous: Any) -> None:
    assert memcore.starts_from_dones(np.zeros((2, 0), bool), previous).shape == (2, 0)
    assert memcore.starts_from_segment_ids(np.zeros((2, 0), int), previous).shape == (2, 0)
    assert memcore.starts_from_lengths([], 0).shape == (0,)


# --- segment ids, lengths, cumulative lengths ------------------------------------------------------


def test_segment_ids(backend: Backend) -> None:
    ids = backend.asarray(np.array([[3, 3, 1, 1, 3], [0, 0, 0, 0, 0]], np.int32))
    check(memcore.starts_from_segment_ids(ids), [bits("10101"), bits("10000")])
    before = backend.asarray(np.array([3, 1], np.int32))
    check(memcore.starts_from_segment_ids(ids, before), [bits("00101"), bits("10000")])
    check(memcore.starts_from_segment_ids(ids, previous=0), [bits("10101"), bits("00000")])


def test_lengths(backend: Backend) -> None:
    lengths = backend.asarray(np.array([[3, 2, 0], [1, 1, 4]], np.int32))
    check(memcore.starts_from_lengths(lengths, 6), [bits("100101"), bits("111000")])
    check(memcore.starts_from_lengths(lengths, 7), [bits("1001010"), bits("1110001")])


def test_cumulative_lengths(backend: Backend) -> None:
    cu = backend.asarray(np.array([0, 3, 5, 6], np.int32))
    check(memcore.starts_from_cu_seqlens(cu), bits("100101"))
    check(memcore.starts_from_cu_seqlens(cu, 8), bits("10010110"))
    check(memcore.starts_from_cu_seqlens([0, 0, 2, 2, 3]), bits("101"))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint64"])
def test_numbers_of_any_width(dtype: str, backend: Backend) -> None:
    """What a narrow dtype of the argument cannot hold is no reason to count or compare wrongly."""
    want = [t in (0, 100) for t in range(300)]
    cu = backend.asarray(np.array([0, 100], dtype))
    check(memcore.starts_from_cu_seqlens(cu, 300), want)
    lengths = backend.asarray(np.array([100], dtype))
    check(memcore.starts_from_lengths(lengths, 300), want)
    ids = backend.asarray(np.array([[0, 0], [1, 1]], "uint8"))
    previous = backend.asarray(np.array([256, 1], "int32"))
    check(memcore.starts_from_segment_ids(ids, previous), [bits("10"), bits("00")])


@given(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 3))
def test_conventions_agree(lengths: list[int], padding: int) -> None:
    total = sum(lengths) + padding
    ids = np.repeat(np.arange(len(lengths) + 1), [*lengths, padding])
    want = memcore.starts_from_segment_ids(ids)
    check(memcore.starts_from_lengths(lengths, total), want)
    check(memcore.starts_from_cu_seqlens(np.cumsum([0, *lengths]), total), want)
    if total:
        dones = np.append(ids[1:] != ids[:-1], True)
        check(memcore.starts_from_dones(dones, previous=True), want)


@pytest.mark.backend("jax")
def test_conventions_under_jit(backend: Backend) -> None:
    import jax

    lengths = backend.asarray(np.array([3, 2], np.int32))
    cu = backend.asarray(np.array([0, 3, 5], np.int32))
    check(jax.jit(memcore.starts_from_lengths, static_argnums=1)(lengths, 6), bits("100101"))
    check(jax.jit(memcore.starts_from_cu_seqlens, static_argnums=1)(cu, 6), bits("100101"))
    dones = backend.asarray(np.array(bits("0100")))
    check(jax.jit(memcore.starts_from_dones)(dones, True), bits("1010"))


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match=r"^dones has shape \(\), expected \(\.\.\., T\)"):
        memcore.starts_from_dones(True)
    with pytest.raises(ValueError, match=r"^previous has shape \(3,\), expected \(2,\)"):
        memcore.starts_from_dones(np.zeros((2, 4), bool), previous=[True, False, True])
    with pytest.raises(ValueError, match=r"^previous has shape \(3,\), expected \(2,\)"):
        memcore.starts_from_segment_ids(np.zeros((2, 4), int), previous=[1, 2, 3])
    with pytest.raises(ValueError, match=r"^lengths add up to 7, expected at most total=6"):
        memcore.starts_from_lengths([[1, 2], [3, 4]], 6)
    with pytest.raises(ValueError, match=r"^cu_seqlens has shape \(1, 3\), expected \(N \+ 1,\)"):
        memcore.starts_from_cu_seqlens([[0, 1, 2]])


def test_the_picture_of_the_module() -> None:
    """The example in the docstring of memcore.resets, by each of the conventions."""
    starts = bits("10010001")
    check(memcore.starts_from_lengths([3, 4, 1], 8), starts)
    check(memcore.starts_from_segment_ids(list(b"aaabbbbc")), starts)
    check(memcore.starts_from_cu_seqlens([0, 3, 7, 8]), starts)
    check(memcore.starts_from_dones(bits("00100010"), previous=True), starts)
    np.testing.assert_array_equal(resets.segments(np.array(starts)), [1, 1, 1, 2, 2, 2, 2, 3])


# --- the operator ----------------------------------------------------------------------------------


def plain(elements: list[tuple[bool, bool, str]]) -> tuple[bool, bool, str]:
    """What a row of elements does: was there a start, is there a word, and which."""
    started, words = False, []
    for start, valid, word in elements:
        if start:
            started, words = True, []
        if valid:
            words.append(word)
    return started, bool(words), "".join(words)


def combine(a: Any, b: Any) -> Any:
    def concatenate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        # A word is the digits of a number in base 10, together with 10^length.
        return np.stack([x[..., 0] * y[..., 1] + y[..., 0], x[..., 1] * y[..., 1]], axis=-1)

    return resets.resettable(concatenate)(a, b)


def element(start: bool, valid: bool, digit: int) -> Any:
    return np.array([start]), np.array([valid]), np.array([[digit, 10]])


def same(a: Any, b: Any) -> None:
    """Equal as actions: the word of an element that holds none is not looked at."""
    assert a[0] == b[0] and a[1] == b[1]
    if a[1]:
        np.testing.assert_array_equal(a[2], b[2])


def test_resettable_is_associative() -> None:
    flags = list(itertools.product([False, True], repeat=2))
    for three in itertools.product(flags, repeat=3):
        a, b, c = (element(*flag, digit) for flag, digit in zip(three, (1, 2, 3), strict=True))
        same(combine(combine(a, b), c), combine(a, combine(b, c)))


def test_resettable_is_what_it_says() -> None:
    flags = list(itertools.product([False, True], repeat=2))
    for four in itertools.product(flags, repeat=4):
        total = element(*four[0], 1)
        for digit, flag in enumerate(four[1:], start=2):
            total = combine(total, element(*flag, digit))
        rows = [(*flag, str(digit)) for digit, flag in enumerate(four, start=1)]
        started, used, word = plain(rows)
        assert (bool(total[0][0]), bool(total[1][0])) == (started, used)
        if used:
            assert total[2].tolist() == [[int(word), 10 ** len(word)]]


@pytest.mark.parametrize("missing", [0, 1], ids=["no starts", "no padding"])
def test_a_flag_may_be_missing(missing: int) -> None:
    """None for starts is never one; None for valid is always valid."""
    for flags in itertools.product([False, True], repeat=2):
        pair = [
            element(*((False, f) if missing == 0 else (f, True)), d) for d, f in enumerate(flags, 1)
        ]
        without = [tuple(None if i == missing else x for i, x in enumerate(e)) for e in pair]
        want, got = combine(*pair), combine(*without)
        assert got[missing] is None
        if want[1]:
            np.testing.assert_array_equal(got[2], want[2])
        np.testing.assert_array_equal(got[1 - missing], want[1 - missing])


def test_select_never_multiplies() -> None:
    nan = np.full((2, 3), np.nan)
    got = resets.select(np.array([True, False]), np.ones((2, 3)), nan)
    np.testing.assert_array_equal(got, [[1, 1, 1], [np.nan] * 3])
    assert resets.select(None, 1, nan) is nan


# --- what is not finite ----------------------------------------------------------------------------


@given(seed=st.integers(0, 2**16), length=st.integers(1, 12), causal=st.booleans())
def test_seen_by_brute_force(seed: int, length: int, causal: bool) -> None:
    """A segment is wrong from its first bad step on; wholly, if the model is not causal."""
    rng = np.random.default_rng(seed)
    starts, bad = rng.random((2, 2, length)) < 0.25
    xs, state = np.zeros((2, length, 3)), np.zeros((2, 4))
    xs[bad, 1], state[0, 2] = np.nan, np.inf
    for given_starts in (starts, None):
        clean, before, flag = resets.contain(
            xs, state, np.ones((2, 4)), given_starts, None, 1, causal, 0
        )
        assert np.all(np.isfinite(clean)) and not clean.any()
        np.testing.assert_array_equal(before, [[1] * 4, [0] * 4])
        number = np.cumsum(starts if given_starts is not None else 0 * starts, axis=1)
        for i, t in np.ndindex(2, length):
            mine = (number[i] == number[i, t]) & (~np.bool_(causal) | (np.arange(length) <= t))
            want = bool(np.any(bad[i] & mine)) or (i == 0 and number[i, t] == 0)
            assert flag[i, t] == want
