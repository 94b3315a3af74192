"""A model in each framework, as four functions of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import memcore
from memcore.cell import Model
from memcore.engine.checks import check_model
from memcore.types import Array, Key, State, Tree

Trained: TypeAlias = Tree
"""What is trained: the core's dict, an Equinox module, Linen's variables or an NNX state."""

FRAMEWORKS = ("core", "equinox", "linen", "nnx")


class Agent(NamedTuple):
    """A model's functions; the first argument of all but ``init`` is what is trained, a pytree.

    Attributes:
        init: ``(key) -> trained``.
        apply: ``(trained, xs, state, starts) -> (state, ys)``, over sequences ``(..., T, in_features)``.
        step: ``(trained, state, x, start) -> (state, y)``, one step of ``(..., in_features)``.
        initial_state: ``(trained, batch_shape) -> state``.
    """

    init: Callable[[Key], Trained]
    apply: Callable[[Trained, Array, State, Array], tuple[State, Array]]
    step: Callable[[Trained, State, Array, Array], tuple[State, Array]]
    initial_state: Callable[[Trained, tuple[int, ...]], State]


def agent(model: Model, framework: str = "core") -> Agent:
    """The model's functions in a framework; the numbers are the same in all of them.

    Raises:
        TypeError: ``model`` is no model.
        ValueError: the framework is none of `FRAMEWORKS`.
        ImportError: it is not installed.
    """
    makers = {"core": _core, "equinox": _equinox, "linen": _linen, "nnx": _nnx}
    if framework not in makers:
        raise ValueError(f"framework is {framework!r}, expected one of {', '.join(makers)}")
    check_model(model)
    return makers[framework](model)


def _core(model: Model) -> Agent:
    return Agent(
        model.init,
        lambda params, xs, state, starts: model.apply(params, xs, state, starts=starts),
        lambda params, state, x, start: memcore.step(model, params, state, x, start=start),
        lambda params, batch: memcore.initial_state(model, params, batch),
    )


def _equinox(model: Model) -> Agent:
    from memcore_equinox import Memory

    return Agent(
        lambda key: Memory(model, key=key),
        lambda memory, xs, state, starts: memory(xs, state, starts=starts),
        lambda memory, state, x, start: memory.step(state, x, start=start),
        lambda memory, batch: memory.initial_state(batch),
    )


def _linen(model: Model) -> Agent:
    from memcore_flax.linen import Memory

    import jax  # isort: skip  (after the adapter, whose message names the extra)

    memory = Memory(model)
    return Agent(
        lambda key: memory.init(
            jax.random.key(key) if isinstance(key, int) else key, (), method="initial_state"
        ),
        lambda params, xs, state, starts: memory.apply(params, xs, state, starts=starts),
        lambda params, state, x, start: memory.apply(params, state, x, start=start, method="step"),
        lambda params, batch: memory.apply(params, batch, method="initial_state"),
    )


def _nnx(model: Model) -> Agent:
    from memcore_flax.nnx import Memory

    from flax import nnx  # isort: skip  (after the adapter, whose message names the extra)

    graph = nnx.graphdef(nnx.eval_shape(lambda: Memory(model, rngs=nnx.Rngs(0))))

    def made(params: Trained) -> Memory:
        memory: Memory = nnx.merge(graph, params)
        return memory

    return Agent(
        lambda key: nnx.state(Memory(model, rngs=nnx.Rngs(key))),
        lambda params, xs, state, starts: made(params)(xs, state, starts=starts),
        lambda params, state, x, start: made(params).step(state, x, start=start),
        lambda params, batch: made(params).initial_state(batch),
    )
