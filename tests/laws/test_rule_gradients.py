"""Gradients of the rules: those of the fold, whatever the method; and under vmap and jit."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import INITIALS, close, drawn, half_or_flag
from cases.compilations import compilations
from conftest import Backend


@pytest.mark.backend("jax")
@pytest.mark.parametrize(("name", "given_initial"), INITIALS)
def test_gradients_of_the_fused_form(
    name: str, given_initial: bool, backend: Backend, x64: None
) -> None:
    """In every array, in the state and, if it is given, in the initial state, those of the fold."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, initial, starts, valid = drawn(name, 17, initial=given_initial)
    how = backend.asarray({"starts": starts, "valid": valid})
    floats = [x for x in optree.tree_leaves((state, initial)) if x.dtype.kind == "f"]
    structure = optree.tree_structure((state, initial))
    rest = [x if x.dtype.kind != "f" else None for x in optree.tree_leaves((state, initial))]

    def loss(arrays: Any, floats: Any, method: str) -> Any:
        moving = iter(floats)
        leaves = [next(moving) if x is None else jnp.asarray(x) for x in rest]
        state, initial = optree.tree_unflatten(structure, leaves)
        result = op.run(arrays, state, initial=initial, **how, method=method, chunk_size=5)
        leaves = [x for x in optree.tree_leaves(result) if x.dtype != bool]
        return sum(jnp.sum(jnp.sin(x + i)) for i, x in enumerate(leaves))

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    given = backend.asarray((arrays, floats))
    close(gradient(*given, "fused"), gradient(*given, "sequential"), 1e-10)


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    "name", ["delta_rule_channel_decay", "dplr_delta_rule_decay", "linear_attention_channel_decay"]
)
def test_gradients_of_chunks_of_one_step(name: str, backend: Backend, x64: None) -> None:
    import jax
    import jax.numpy as jnp

    op, arrays, state, *_ = drawn(name, 3)

    def loss(arrays: Any, state: Any, method: str) -> Any:
        after, out = op.run(arrays, state, method=method, chunk_size=1)
        return sum(jnp.sum(jnp.sin(x)) for x in optree.tree_leaves((after, out)))

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    given = backend.asarray((arrays, state))
    close(gradient(*given, "fused"), gradient(*given, "sequential"), 1e-10)


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    "name",
    ["linear_attention_channel_decay", "delta_rule_channel_decay", "dplr_delta_rule_channel_decay"],
)
def test_gradients_of_a_decay_of_minus_infinity(name: str, backend: Backend, x64: None) -> None:
    """Inside a sequence, of all channels and of one: finite, and those of the fold."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, *_ = drawn(name, 17)
    arrays["g"][:, 8:10] = arrays["g"][0, 3, :, 0] = -np.inf

    def loss(arrays: Any, state: Any, method: str) -> Any:
        result = op.run(arrays, state, method=method, chunk_size=5)
        return sum(jnp.sum(jnp.sin(x)) for x in result)

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    given = backend.asarray((arrays, state))
    want = gradient(*given, "sequential")
    assert all(np.all(np.isfinite(leaf)) for leaf in optree.tree_leaves(want))
    assert all(np.any(np.asarray(leaf)) for leaf in optree.tree_leaves(want))
    close(gradient(*given, "fused"), want, 1e-10)


@pytest.mark.backend("jax")
def test_gradients_by_finite_differences(backend: Backend, x64: None) -> None:
    from jax.test_util import check_grads

    op, arrays, state, *_ = drawn("delta_rule_decay", 5)
    check_grads(
        lambda xs, s: op.run(xs, s, method="fused", chunk_size=4),
        backend.asarray((arrays, state)),
        order=1,
        modes=["rev"],
    )


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["linear_recurrence", "linear_recurrence_complex_constant"])
def test_forward_mode(name: str, backend: Backend, x64: None) -> None:
    from jax.test_util import check_grads

    op, arrays, state, *_ = drawn(name, 5)
    check_grads(
        lambda xs, s: op.run(xs, s, method="sequential"),
        backend.asarray((arrays, state)),
        order=1,
        modes=["fwd"],
    )


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    "name", ["linear_recurrence_constant", "linear_attention_decay", "causal_convolution"]
)
def test_vmap_is_a_batch(name: str, backend: Backend) -> None:
    import jax

    op, arrays, state, *_ = drawn(name, 5)
    arrays, state = backend.asarray(optree.tree_map(half_or_flag, (arrays, state)))
    axes = {n: None if n in op.constant else 0 for n in arrays}
    got = jax.vmap(op.run, in_axes=(axes, 0))(arrays, state)
    close(got, op.run(arrays, state), 1e-6)


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    "name",
    [
        "linear_recurrence",
        "linear_recurrence_complex_constant",
        "softmax_decay",
        "delta_rule_decay",
    ],
)
def test_hessian(name: str, backend: Backend, x64: None) -> None:
    """Forward over reverse, and reverse over reverse, of the fused form."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, _, starts, _ = drawn(name, 3)
    starts, arrays, state = backend.asarray((starts, arrays, state))

    def loss(arrays: Any, method: str) -> Any:
        out = op.run(arrays, state, starts=starts, method=method)[1]
        return sum(jnp.sum(jnp.sin(x)) for x in optree.tree_leaves(out))

    def steepness(arrays: Any, method: str) -> Any:
        gradient = jax.grad(loss)(arrays, method)
        return sum(jnp.sum(x**2) for x in jax.tree.leaves(gradient))

    for twice in (jax.hessian(loss), jax.grad(steepness)):
        twice = jax.jit(twice, static_argnums=1)
        close(twice(arrays, "fused"), twice(arrays, "sequential"))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda x: loss(x, "fused"), (arrays,), (arrays,))


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["delta_rule", "log_sum_exp"])
def test_transformations(name: str, backend: Backend) -> None:
    """jit, vmap, grad; and a second call does not compile again."""
    import jax
    import jax.numpy as jnp

    op, arrays, state, *_ = drawn(name, 5)
    arrays, state = backend.asarray(optree.tree_map(half_or_flag, (arrays, state)))

    def loss(run: Any, arrays: Any, state: Any) -> Any:
        return jnp.sum(jnp.sin(run(arrays, state)[1]))

    vmapped = jax.vmap(op.run)
    want = op.run(arrays, state)
    close(jax.jit(op.run)(arrays, state), want, 1e-6)
    close(vmapped(arrays, state), want, 1e-6)
    gradient = jax.grad(loss, 1)(op.run, arrays, state)
    close(jax.jit(jax.grad(loss, 1), static_argnums=0)(vmapped, arrays, state), gradient, 1e-6)
    with compilations() as again:
        op.run(arrays, state)
    assert not again
