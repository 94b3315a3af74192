"""What the case of a rule is, the loop that it is compared with, and the drawing of random inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optree

BATCH, HEADS, KEYS, VALUES, WIDTH, WINDOW = 2, 2, 4, 3, 3, 4


Wrong = tuple[Callable[[], Any], str]
"""A call, and the message of the error that it must raise."""


@dataclass(frozen=True)
class Op:
    """One way to call a function of memcore.ops.

    `run(arrays, state, **how)` calls it, `draw(rng, T)` makes its arrays, `state(rng)` a state that
    a run may leave behind, and `step(state, u) -> (state, out)` is the loop's body for one sequence.
    `rule(arrays)` is `(rule, inputs)` for the laws of the algebra, None where they are those of
    another case; `empty(state)` is the state at starts where none is given; `constant` names the arrays
    without batch and time; `decay` names the log decay, if it has one.
    """

    run: Callable[..., tuple[Any, Any]]
    draw: Callable[[np.random.Generator, int], dict[str, np.ndarray]]
    state: Callable[[np.random.Generator], Any]
    step: Callable[[Any, dict[str, np.ndarray]], tuple[Any, Any]]
    rule: Callable[[dict[str, np.ndarray]], tuple[Any, Any]] | None = None
    empty: Callable[[Any], Any] = lambda state: optree.tree_map(np.zeros_like, state)
    constant: tuple[str, ...] = ()
    decay: str | None = None


@dataclass(frozen=True)
class Rule:
    """A function of memcore.ops: its cases, by names that begin with its own, and what it refuses.

    `arrays` are all its array arguments by name, those in `optional` may be None, `more` is what else
    a call needs; `wrong` has calls and the messages of their errors; `golden` the vectors that it is
    compared with. `told_by` names the array that tells the shapes of state and flags, if one does.
    """

    cases: Mapping[str, Op]
    arrays: Mapping[str, np.ndarray]
    wrong: Mapping[str, Wrong]
    golden: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    told_by: str | None = None


def loop(
    op: Op,
    arrays: dict[str, np.ndarray],
    state: Any,
    initial: Any = None,
    starts: Any = None,
    valid: Any = None,
) -> tuple[Any, Any]:
    """What `op.run` must give, one step of one sequence at a time."""
    moving = next(x for name, x in arrays.items() if name not in op.constant)
    batch, length = moving.shape[:2]
    initial = op.empty(state) if initial is None else initial
    finals, outs = [], []
    for i in range(batch):
        h = optree.tree_map(lambda s, i=i: s[i], state)
        row = []
        for t in range(length):
            u = {name: x if name in op.constant else x[i, t] for name, x in arrays.items()}
            if starts is not None and starts[i, t]:
                h = optree.tree_map(lambda s, i=i: s[i], initial)
            after, out = op.step(h, u)
            if valid is not None and not valid[i, t]:
                after, out = h, optree.tree_map(np.zeros_like, out)
            h = after
            row.append(out)
        finals.append(h)
        outs.append(optree.tree_map(lambda *xs: np.stack(xs), *row))
    return tuple(optree.tree_map(lambda *xs: np.stack(xs), *rows) for rows in (finals, outs))


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return 0.7 * rng.standard_normal((BATCH, *shape))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def heads(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
    k = unit(normal(rng, length, HEADS, KEYS))
    return {
        "q": normal(rng, length, HEADS, KEYS),
        "k": k,
        "v": normal(rng, length, HEADS, VALUES),
    }


def inputs(x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by the names that the rules give them."""
    names = {"q": "q", "k": "k", "v": "v", "beta": "beta", "g": "log_decay"}
    return {names[n]: array for n, array in x.items()}


def log_decays(rng: np.random.Generator, length: int, decay: str | None) -> dict[str, np.ndarray]:
    """A log decay per head or per channel, or none."""
    shape = (length, HEADS, KEYS) if decay == "channel" else (length, HEADS)
    return {"g": -np.abs(normal(rng, *shape))} if decay else {}


def some_filled(rng: np.random.Generator, size: int) -> np.ndarray:
    """How a run leaves a window: the places that are not filled come first."""
    return np.arange(size) >= rng.integers(0, size + 1, (BATCH, 1))


def empty_logarithms(state: Any) -> Any:
    """Logarithms of nothing, for the rules whose whole state is one."""
    return optree.tree_map(lambda x: np.full_like(x, -1e38), state)


# Arguments of the right shapes, for calls that go wrong in one of them.
Q = np.zeros((2, 5, HEADS, KEYS))
V = np.zeros((2, 5, HEADS, VALUES))
B = np.zeros((2, 5, HEADS))
X = np.zeros((2, 5, WIDTH))
HEADED = {"q": Q, "k": Q, "v": V}
