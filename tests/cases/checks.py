"""What the tests of the rules share: comparing trees, drawing a case."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree

from cases.ops import BATCH, OPS, RULES, Op

METHODS = ("sequential", "associative", "chunked", "fused")

WINDOWS = [*RULES["window_attention"].cases, *RULES["causal_convolution"].cases]

# Whether the state at starts is given: the fused form of windows is there for empty ones only, and
# would leave the rest to the fold.
INITIALS = [(name, True) for name in OPS] + [(name, False) for name in WINDOWS]
RUNS = [(name, method, True) for name in OPS for method in METHODS]
RUNS += [(name, "fused", False) for name in WINDOWS]


def close(got: Any, want: Any, tolerance: float = 1e-10) -> None:
    """Two trees agree within `tolerance` of max(1, scale), in shapes and kinds of dtype too."""
    assert optree.tree_structure(got) == optree.tree_structure(want)
    for a, b in zip(optree.tree_leaves(got), optree.tree_leaves(want), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        assert a.dtype.kind == b.dtype.kind
        if b.dtype.kind == "b":
            np.testing.assert_array_equal(a, b)
        else:
            scale = max(1.0, float(np.max(np.abs(b), initial=0)))
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def at(tree: Any, *index: Any) -> Any:
    return optree.tree_map(lambda x: np.asarray(x)[index], tree)


def flags(rng: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts, several in a row among them, and steps that are not padding."""
    return rng.random((BATCH, length)) < 0.3, rng.random((BATCH, length)) < 0.75


def drawn(
    name: str, length: int, seed: int = 0, initial: bool = True
) -> tuple[Op, Any, Any, Any, Any, Any]:
    """``(op, arrays, state, initial, starts, valid)``; ``initial`` is None where it is not to be given."""
    op, rng = OPS[name], np.random.default_rng(seed)
    arrays, state, fresh = op.draw(rng, length), op.state(rng), op.state(rng)
    return (op, arrays, state, fresh if initial else None, *flags(rng, length))


def half_or_flag(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) if x.dtype.kind == "f" else x
