"""Programs that leave JAX: with batch and length left open, and for devices that are not here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from cases.checks import close
from cases.models import MODELS, ON_JAX, ONE_PER_RULE
from conftest import Backend

pytestmark = pytest.mark.backend("jax")

SIZES = ((1, 1), (3, 37))


OPEN = [name for name in ON_JAX if "sequential" in MODELS[name].methods]
"""Those that run step by step; the others know whole segments alone."""


def inputs(model: memcore.Model, batch: int, length: int, rng: np.random.Generator) -> np.ndarray:
    tail = (3,) * (model.input_ndim - 1) + (model.in_features,) * (model.input_ndim > 0)
    if model.input_ndim:
        return rng.standard_normal((batch, length, *tail)).astype(np.float32)
    return rng.integers(0, model.in_features, (batch, length)).astype(np.int32)


def outline(tree: Any) -> Any:
    import jax

    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def unless(few: bool) -> Any:
    return () if few else pytest.mark.whole


FEW = [pytest.param(name, marks=unless(name in (*ONE_PER_RULE, "rmt"))) for name in ON_JAX]
RUNS = [(name, "auto", True) for name in OPEN]
RUNS += [
    pytest.param(name, "sequential", False, marks=unless(name in ONE_PER_RULE)) for name in OPEN
]
"""With a state and without; step by step of one model for each rule, of the others with ``--whole``."""


@pytest.mark.parametrize(("name", "method", "given"), RUNS)
def test_open_batch_and_length(name: str, method: str, given: bool, backend: Backend) -> None:
    """The numbers of NumPy, and of one model for each rule at several lengths of one program.

    The program is lowered for CUDA and TPU as well.
    """
    import jax
    from jax import export

    model, rng = MODELS[name], np.random.default_rng(0)
    params = backend.asarray(model.init(0))

    def run(params: Any, xs: Any, state: Any, starts: Any, valid: Any) -> Any:
        return model.apply(params, xs, state, starts=starts, valid=valid, method=method)

    batch, length = export.symbolic_shape("batch, length")
    xs = inputs(model, 1, 1, rng)
    like = jax.ShapeDtypeStruct((batch, length, *xs.shape[2:]), xs.dtype)
    flags = jax.ShapeDtypeStruct((batch, length), bool)
    state = None
    if given:
        state = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype),
            memcore.initial_state(model, params, (1,)),
        )
    everywhere = export.export(jax.jit(run), platforms=("cpu", "cuda", "tpu"))
    exported = everywhere(outline(params), like, state, flags, flags)
    for sizes in SIZES if name in ONE_PER_RULE else SIZES[-1:]:
        xs, starts, valid = (
            inputs(model, *sizes, rng),
            rng.random(sizes) < 0.1,
            rng.random(sizes) < 0.8,
        )
        state = memcore.initial_state(model, model.init(0), sizes[:1]) if given else None
        args = (xs, state, starts, valid)
        close(exported.call(params, *backend.asarray(args)), run(model.init(0), *args), 1e-4)


@pytest.mark.parametrize("name", sorted(set(ON_JAX) - set(OPEN)))
def test_a_model_of_whole_segments_says_so(name: str, backend: Backend) -> None:
    import jax
    from jax import export

    model = MODELS[name]
    params = backend.asarray(model.init(0))
    like = jax.ShapeDtypeStruct(export.symbolic_shape(f"b, t, {model.in_features}"), np.float32)
    words = "^xs has the symbolic length t, for which RMT cannot run 'auto': expected a number of steps(?!,)"
    with pytest.raises(ValueError, match=words):
        export.export(jax.jit(lambda params, xs: model.apply(params, xs)))(outline(params), like)


@pytest.mark.parametrize("method", ["associative", "chunked", "fused"])
def test_an_open_length_that_a_method_cannot_have_is_named(method: str, backend: Backend) -> None:
    import jax
    from jax import export

    model = memcore.LinearAttention(8, heads=2)
    params = model.init(jax.random.key(0))
    like = jax.ShapeDtypeStruct(export.symbolic_shape("b, t, 8"), np.float32)
    run = jax.jit(lambda params, xs: model.apply(params, xs, method=method))
    words = (
        f"^xs has the symbolic length t, for which linear_attention cannot run '{method}': expected"
    )
    with pytest.raises(ValueError, match=words):
        export.export(run)(outline(params), like)


def test_a_rule_without_a_fold_names_the_open_length(backend: Backend) -> None:
    """Attention without a window has one form, that is cut into blocks."""
    import jax
    from jax import export

    shape = jax.ShapeDtypeStruct(export.symbolic_shape("b, t, 2, 4"), np.float32)
    run = jax.jit(lambda q: memcore.ops.window_attention(q, q, q, None))
    with pytest.raises(
        ValueError, match=r"^xs has the symbolic length t, for which full_attention"
    ):
        export.export(run)(shape)


@pytest.mark.parametrize("name", FEW)
def test_lowers_for_other_devices(name: str, backend: Backend, pytestconfig: pytest.Config) -> None:
    """`auto` with its gradient, of one model for each rule; with ``--whole`` of every one by every method."""
    import jax
    from jax import export

    model = MODELS[name]
    params = backend.asarray(model.init(0))
    xs = inputs(model, 2, 6, np.random.default_rng(0))
    flags = np.zeros((2, 6), bool)
    methods = ("auto", *(model.methods if pytestconfig.getoption("--whole") else ()))
    for method in methods:

        def loss(params: Any, xs: Any, starts: Any, method: str = method) -> Any:
            return model.apply(params, xs, starts=starts, method=method)[1].sum()

        run = jax.jit(jax.value_and_grad(loss))
        exported = export.export(run, platforms=("cuda", "tpu"))(*outline((params, xs, flags)))
        assert exported.platforms == ("cuda", "tpu")
