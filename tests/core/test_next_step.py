"""Environments that reset themselves in the step after an end: against a simulator's loop."""

from __future__ import annotations

import numpy as np
import pytest

import memcore
from conftest import Backend


def simulate(lengths: list[int], steps: int) -> tuple[list[bool], list[bool], list[float]]:
    """Dones, first inputs and used actions of one environment, one step after the other."""
    dones, first, used = [], [], []
    episodes = iter(lengths)
    left, ended, begins = next(episodes), False, True
    for _ in range(steps):
        first.append(begins)
        used.append(0.0 if ended else 1.0)
        if ended:  # this step only resets
            left, ended, begins = next(episodes), False, True
            dones.append(False)
            continue
        left, begins = left - 1, False
        ended = left == 0
        dones.append(ended)
    return dones, first, used


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 7, 20])
@pytest.mark.parametrize("lengths", [[1] * 20, [2] * 20, [3, 1, 1, 5, 2, 9, 9]])
def test_as_a_simulator_says(lengths: list[int], cut: int, backend: Backend) -> None:
    dones, first, used = simulate(lengths, 20)
    first[0] = False  # nothing ended before the first rollout: its state is given
    pieces, previous = [], None
    for piece in (dones[:cut], dones[cut:]):
        given = backend.asarray(np.array(piece, bool))
        starts, weights = memcore.starts_from_next_step(given, previous)
        assert starts.dtype == backend.xp.bool and weights.dtype == backend.xp.float32
        pieces.append((backend.to_numpy(starts), backend.to_numpy(weights)))
        previous = backend.asarray(np.array([False, False, *piece][-2:]))
    np.testing.assert_array_equal(np.concatenate([p[0] for p in pieces]), first)
    np.testing.assert_array_equal(np.concatenate([p[1] for p in pieces]), used)


def test_batches_and_numbers(backend: Backend) -> None:
    dones = backend.asarray(np.array([[0, 1, 0], [0, 0, 0]], "float32"))
    starts, weights = memcore.starts_from_next_step(dones, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(
        backend.to_numpy(starts), [[True, False, False], [False, True, False]]
    )
    np.testing.assert_array_equal(backend.to_numpy(weights), [[1, 1, 0], [0, 1, 1]])


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="dones has the value 2, expected only 0 and 1"):
        memcore.starts_from_next_step([0, 2])
    with pytest.raises(ValueError, match=r"dones has shape \(\), expected"):
        memcore.starts_from_next_step(True)
    with pytest.raises(ValueError, match=r"previous has shape \(3,\), expected \(2,\)"):
        memcore.starts_from_next_step([0, 1], [0, 1, 0])
    with pytest.raises(ValueError, match=r"previous has shape \(1, 3\), expected \(2, 2\)"):
        memcore.starts_from_next_step(np.zeros((2, 3)), [[0, 1, 0]])
