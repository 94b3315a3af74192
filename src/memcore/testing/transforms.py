"""Laws 8 and 10, on JAX: the frameworks' modules, and JAX's transformations."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator

from memcore import engine
from memcore.backend import tree_map
from memcore.testing.case import Case, CounterExample, NotApplicable
from memcore.types import Array, Params, Starts, State, Tree


def _need_jax(case: Case) -> None:
    if case.backend != "jax":
        raise NotApplicable("needs backend='jax'")


def _adapters(case: Case) -> Iterator[tuple[str, Callable[[Tree, Tree, Tree], Tree]]]:
    """``run(params, xs, starts) -> (state, ys)`` of every framework that is installed."""
    model = case.model
    if importlib.util.find_spec("equinox"):
        import memcore_equinox

        yield "Equinox", lambda p, xs, s: memcore_equinox.Memory(model, params=p)(xs, starts=s)
    if importlib.util.find_spec("flax"):
        import memcore_flax.linen
        import memcore_flax.nnx

        module = memcore_flax.linen.Memory(model)
        yield "Linen", lambda p, xs, s: module.apply({"params": {"memory": p}}, xs, starts=s)
        yield "NNX", lambda p, xs, s: memcore_flax.nnx.Memory(model, params=p)(xs, starts=s)


def adapter(case: Case) -> None:
    """Equinox, Linen and NNX give the core's outputs and gradients, from the same parameters."""
    _need_jax(case)
    import jax
    import jax.numpy as jnp

    def results(run: Callable[[Tree, Tree, Tree], Tree]) -> Tree:
        def loss(params: Params) -> Tree:
            state, ys = run(params, case.xs, case.starts)
            return jnp.sum(jnp.sin(ys)), (state, ys)

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(case.params)

    (_, want), gradient = results(lambda p, xs, s: case.model.apply(p, xs, starts=s))
    adapters = list(_adapters(case))
    if not adapters:
        raise NotApplicable("neither equinox nor flax is installed")
    for name, run in adapters:
        (_, got), other = results(run)
        case.close(got, want, f"(state, ys) in {name}")
        case.close(other, gradient, f"gradient in {name}", gradients=True)


def transform(case: Case) -> None:
    """Works under jit, vmap, scan and remat; the same shapes do not compile again."""
    _need_jax(case)
    import jax
    import jax.numpy as jnp

    model, params, state = case.model, case.params, case.state

    def run(params: Params, xs: Array, starts: Starts, state: State) -> Tree:
        return model.apply(params, xs, state, starts=starts)

    args = (params, case.xs, case.starts, state)
    want = run(*args)
    transformed = {
        "jit and remat": jax.jit(jax.checkpoint(run)),
        "vmap": jax.vmap(run, in_axes=(None, 0, 0, 0)),
    }
    for name, f in transformed.items():
        case.close(f(*args), want, f"(state, ys) under {name}")

    if model.causal:
        _step_under_scan(case, want)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), case.dtype))
    want_shapes = tree_map(lambda p: jnp.zeros(p.shape, p.dtype), shapes)
    case.close(tree_map(jnp.zeros_like, params), want_shapes, "init under eval_shape")
    _compiles_once(case)


def _step_under_scan(case: Case, want: Tree) -> None:
    import jax
    import jax.numpy as jnp

    model, params, state = case.model, case.params, case.state

    def one(state: State, slot: Tree) -> Tree:
        return engine.step(model, params, state, slot[0], start=slot[1])

    slots = (jnp.moveaxis(case.xs, 1, 0), jnp.moveaxis(case.starts, 1, 0))
    after, ys = jax.lax.scan(one, state, slots)
    case.close((after, jnp.moveaxis(ys, 0, 1)), want, "(state, ys) of step under scan")


def _compiles_once(case: Case) -> None:
    import jax

    def calls() -> None:
        state, _ = case.model.apply(case.params, case.xs, case.state, starts=case.starts)
        for t in range(min(3, case.length) if case.model.causal else 0):
            state, _ = engine.step(case.model, case.params, state, case.xs[:, t, ...])

    calls()
    compiled: list[str] = []
    listener = _listener(compiled)
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        calls()
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    if compiled:
        raise CounterExample(f"a second call with the same shapes compiled {len(compiled)} times")


def _listener(compiled: list[str]) -> Callable[..., None]:
    def listen(event: str, duration: float, **kwargs: object) -> None:
        if "backend_compile" in event:
            compiled.append(event)

    return listen
