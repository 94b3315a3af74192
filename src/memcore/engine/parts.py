"""Running the parts of a composite by name, and holding it to what it declares."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from memcore.backend import as_draw, broadcasting, namespace, placed_like, tree_leaves
from memcore.engine.call import Call
from memcore.engine.grid import first_place
from memcore.engine.state import compute_dtype, memory_like
from memcore.types import Array, Key, Params, State, Tree

if TYPE_CHECKING:
    from memcore.cell import Model


class NeedsParams(Exception):
    """An initial state was asked for without parameters, and depends on them."""


class Unknown:
    """Stands for parameters that are not known: whoever looks at them is told so."""

    def __getattr__(self, name: str) -> Any:
        raise NeedsParams

    def __getitem__(self, key: object) -> Tree:
        raise NeedsParams

    def __iter__(self) -> Tree:
        raise NeedsParams


UNKNOWN = Unknown()


def declared(model: Model) -> dict[str, Model]:
    """The parts of a model, made once for all that are equal to it."""
    return _declared(model, type(model).parts)


@functools.lru_cache(maxsize=1024)
def _declared(model: Model, code: Tree) -> dict[str, Model]:
    return model.parts


class Parts:
    """Runs the declared parts of a model, each once, and collects their states.

    Attributes:
        call: how the whole runs.
    """

    def __init__(self, model: Model, state: State, initial: State, call: Call) -> None:
        self.call = call
        self._model, self._parts = model, declared(model)
        self._state, self._initial = state, initial
        self._ran, self._after = set[str](), dict[str, Any]()

    def __call__(self, name: str, params: Params, xs: Array) -> Array:
        """Run a part over the sequence.

        Args:
            name: a key of the model's ``parts``.
            params: the part's parameters; ``{}`` for a rule.
            xs: its inputs; for a rule a dict of them.

        Returns:
            Its outputs.

        Raises:
            ValueError: the part is not declared, or ran already.
        """
        part = self._check(name)
        initial = None if self._initial is None else self._initial[name]
        args = (self._state[name], initial, self.call.child(name))
        self._after[name], ys = part._apply(params, xs, *args)[:2]
        return ys

    def backward(self, name: str, params: Params, xs: Array) -> Array:
        """Run a part, declared as `memcore.compose.Backward`, from the last step to the first.

        Each sequence begins afresh at its end, and no state is left.
        """
        return self(name, params, xs)

    def mirrored(self, name: str, params: Params, xs: Array) -> Array:
        """Run a part from the last step to the first, afresh at the end of every sequence.

        The state of the whole does not hold the part: a later piece cannot go on from it.
        """
        part, xp = self._check(name), namespace(xs)
        axis = xs.ndim - part.input_ndim - 1
        fresh = memory_like(part, params, xs, xs.shape[:axis], compute_dtype(part, params, xs))
        fresh, initial = placed_like(fresh, xs, axis), part.initial_state(params)
        call = replace(self.call.child(name).mirrored(), return_states=False)
        return xp.flip(
            part._apply(params, xp.flip(xs, axis=axis), fresh, initial, call)[1], axis=axis
        )

    def key(self, name: str) -> Key:
        """Randomness for what stands outside the parts; None where the call has none."""
        return None if self.call.key is None else as_draw(self.call.key).child(name)

    def finish(self) -> dict[str, Any]:
        """The states of the parts; raises if one of them did not run."""
        left = [name for name in self._parts if name not in self._ran]
        if left:
            raise ValueError(f"{self._model!r} declares the part {left[0]!r} and did not run it")
        return {name: self._after[name] for name in self._parts if name in self._after}

    def _check(self, name: str) -> Model:
        """The part of this name, which runs now."""
        if name not in self._parts:
            raise ValueError(
                f"part is {name!r}, which {self._model!r} does not declare: its parts are "
                f"{tuple(self._parts)}"
            )
        if name in self._ran:
            raise ValueError(
                f"part {name!r} of {self._model!r} ran already: expected once in a run"
            )
        self._ran.add(name)
        return self._parts[name]


class _Survey(Parts):
    """A run over one step from nothing, to learn the parts' initial states."""

    def __call__(self, name: str, params: Params, xs: Array) -> Array:
        part = self._check(name)
        self._after[name] = initial = part.initial_state(params)
        like = tree_leaves(xs)[0]
        state = memory_like(part, params, like, (), compute_dtype(part, params, like))
        return part._apply(params, xs, state, initial, self.call)[1]


def initial_states(model: Model, params: Params) -> dict[str, Any]:
    """The initial state of every part of a composite, by name.

    Names of parts are not paths of parameters: where a part's initial state depends on its parameters,
    a run over one step of zeros says which those are.
    """
    try:
        return {
            name: part.initial_state(cast("Params", UNKNOWN))
            for name, part in declared(model).items()
        }
    except NeedsParams:
        pass
    if params is UNKNOWN:
        raise NeedsParams
    xs = one_step(model, params)
    run = _Survey(model, None, None, Call(method="sequential", phase=first_place(model.grid, xs)))
    broadcasting(model.run_parts, params)(params, xs, run)
    return run.finish()


def constant_initial(model: Model) -> State:
    """The initial state of a composite whose parameters do not matter for it; None of any other model."""
    try:
        return None if model.single else model.initial_state(cast("Params", UNKNOWN))
    except NeedsParams:
        return None


def one_step(model: Model, params: Params) -> Tree:
    """One step of zeros, without batch axes: ``(1, ...)``, in the library of the parameters."""
    leaves = tree_leaves(params)
    like = leaves[0] if leaves else np.zeros(1, np.float32)
    shape = {0: (1,), 1: (1, model.in_features), 2: (1, 1, model.in_features)}[model.input_ndim]
    xp = namespace(like)
    return xp.zeros(shape, dtype=like.dtype if model.input_ndim else xp.int32)


def signature(model: Model) -> Tree:
    """What the run of a composite depends on beside its value: its code and its declaration.

    Part of the key under which a run is compiled, so that a composite that changed is looked at again.
    """
    if model.single:
        return None
    parts = declared(model)
    return type(model).run_parts, tuple((n, p, signature(p)) for n, p in parts.items())
