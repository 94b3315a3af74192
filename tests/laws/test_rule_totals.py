"""A piece of a sequence as one element: acting with it is running the piece, as the plain loop does."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import close, drawn
from cases.ops import OPS, loop
from conftest import Backend
from memcore.engine.call import Call
from memcore.engine.recurrence import Recurrence
from memcore.engine.resets import select
from memcore.ops.rule import RulePart

NAMES = [name for name, op in OPS.items() if op.rule]
"""All whose elements are of one size, whatever the length."""


def after(rule: Any, inputs: Any, state: Any, initial: Any, starts: Any, valid: Any) -> Any:
    """The state behind a piece, by its element."""
    leaf = optree.tree_leaves(state)[0]
    length = max(x.shape[1] for x in optree.tree_leaves(inputs))
    call, shape = Call(starts, valid, chunk_size=4), (leaf.shape[0], length)
    job = Recurrence(RulePart(1, rule), {}, inputs, state, initial, call, shape)
    start, used, element = rule.element(job)
    assert (start is None, used is None) == (starts is None, valid is None)
    before = select(start, initial, state)
    acted = rule.act(before, element)
    return acted if used is None else select(used, acted, before)


@pytest.mark.parametrize("name", NAMES)
def test_an_element_is_its_piece(
    name: str, backend: Backend, pytestconfig: pytest.Config, x64: None
) -> None:
    """On JAX, which compiles every operation for every shape, of one length; of all with ``--whole``."""
    few = backend.name == "jax" and not pytestconfig.getoption("--whole")
    for length in (6,) if few else (1, 6, 17):
        element_is_piece(name, length, backend)


def element_is_piece(name: str, length: int, backend: Backend) -> None:
    op, arrays, state, initial, starts, valid = drawn(name, length)
    rule, inputs = op.rule(arrays)
    for flags in ((None, None), (starts, None), (None, valid), (starts, valid)):
        want, _ = loop(op, arrays, state, initial, *flags)
        close(after(rule, *backend.asarray((inputs, state, initial, *flags))), want)


@pytest.mark.parametrize("name", NAMES)
def test_a_piece_of_padding_is_the_identity(name: str, backend: Backend, x64: None) -> None:
    op, arrays, state, initial, _, valid = drawn(name, 5)
    rule, inputs = op.rule(arrays)
    given = (inputs, state, initial, None, np.zeros_like(valid))
    close(after(rule, *backend.asarray(given)), state)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", NAMES)
def test_the_elements_of_two_pieces_make_that_of_both(
    name: str, backend: Backend, x64: None
) -> None:
    op, arrays, state, initial, *_ = drawn(name, 6)
    rule, given = op.rule(arrays)
    want, _ = loop(op, arrays, state, initial, None, None)
    inputs, state = backend.asarray((given, state))
    batch = optree.tree_leaves(state)[0].shape[0]

    def element(begin: int, end: int) -> Any:
        cut = optree.tree_map(lambda x: x[:, begin:end, ...] if x.shape[1] == 6 else x, inputs)
        job = Recurrence(RulePart(1, rule), {}, cut, state, None, Call(), (batch, end - begin))
        return rule.element(job)[2]

    for middle in (1, 4):
        close(rule.act(state, rule.binary_op(element(0, middle), element(middle, 6))), want)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_an_element(name: str, backend: Backend, x64: None) -> None:
    """Those of the fold, where a decay is 0 too."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, initial, starts, valid = drawn(name, 9)
    if op.decay:
        arrays[op.decay][:, 3] = -np.inf
    starts, valid = starts & (np.arange(9) < 3), valid | (np.arange(9) == 3)
    flags = backend.asarray((starts, valid))

    def at_once(arrays: Any, state: Any, initial: Any) -> Any:
        return after(*op.rule(arrays), state, initial, *flags)

    def folded(arrays: Any, state: Any, initial: Any) -> Any:
        how = {"starts": flags[0], "valid": flags[1], "initial": initial}
        return op.run(arrays, state, **how, method="sequential")[0]

    def gradient(run: Any) -> Any:
        def loss(arrays: Any, state: Any, initial: Any) -> Any:
            leaves = optree.tree_leaves(run(arrays, state, initial))
            return sum(jnp.sum(jnp.sin(x + i)) for i, x in enumerate(leaves) if x.dtype != bool)

        every = jax.jit(jax.grad(loss, (0, 1, 2), allow_int=True))
        return every(*backend.asarray((arrays, state, initial)))

    got, want = (optree.tree_leaves(gradient(run)) for run in (at_once, folded))
    for a, b in zip(got, want, strict=True):
        if a.dtype != jax.dtypes.float0:
            close(a, b, 1e-9)
