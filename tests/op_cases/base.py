"""What a case of a rule is, the loop that it is compared with, and the drawing of random inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import optree

BATCH, HEADS, KEYS, VALUES, WIDTH, WINDOW = 2, 2, 4, 3, 3, 4


@dataclass(frozen=True)
class Op:
    """A function of memcore.ops.

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
