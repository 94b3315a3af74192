"""Laws 1 to 7 and 9: algebra, execution, resets, streaming, backends, references."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from memcore.backend import is_floating, namespace, to_numpy, tree_leaves, tree_map
from memcore.cell import Cell, Memoroid
from memcore.engine.checks import runnable
from memcore.engine.resets import align
from memcore.engine.run import scan
from memcore.engine.state import memory_like
from memcore.fields import is_count
from memcore.testing.case import Case, CounterExample, NotApplicable
from memcore.types import Element, Tree

# --- 1 to 3: the algebra ---------------------------------------------------------------------------


def _elements(case: Case) -> Element:
    """For each memoroid inside: itself, its parameters, three elements, a state and their inputs."""
    for cell, params, inputs in case.memoroids():
        lifted = cell.lift(params, inputs)
        floats = [x for x in tree_leaves((lifted, params)) if is_floating(x)]
        state = memory_like(cell, params, floats[0], (case.batch,), floats[0].dtype)
        for t in range(2):
            state = cell.act(params, state, _at(lifted, t))
        yield cell, params, [_at(lifted, t) for t in range(3)], state, inputs


def _at(tree: Tree, t: int) -> Tree:
    """Step t; what is constant in time has length 1."""
    return tree_map(lambda leaf: leaf[:, min(t, leaf.shape[1] - 1), ...], tree)


def associativity(case: Case) -> None:
    """``op(op(a, b), c) == op(a, op(b, c))``."""
    for cell, params, (a, b, c), _, _ in _elements(case):
        left = cell.binary_op(params, cell.binary_op(params, a, b), c)
        right = cell.binary_op(params, a, cell.binary_op(params, b, c))
        case.close(left, right, f"{cell}: op(op(a, b), c)")


def action(case: Case) -> None:
    """``act(act(h, a), b) == act(h, op(a, b))``, acting with the `total` of steps is acting with each that is
    valid and behind the last start, and behind ``reach`` steps the state before them is forgotten."""
    for cell, params, elements, h, inputs in _elements(case):
        a, b, c = elements

        def after(state: Tree, *elements: Element, cell: Memoroid = cell, p: Tree = params) -> Tree:
            for element in elements:
                state = cell.act(p, state, element)
            return state

        twice = after(h, a, b)
        case.close(twice, after(h, cell.binary_op(params, a, b)), f"{cell}: act")
        if case.backend == "jax":  # which would compile a run of each
            continue
        begun, kept = ([[False, True, False]], [[True, False, True]])
        for starts, valid, left, what in (
            (None, None, (a, b, c), ""),
            (begun, None, (b, c), " behind a start"),
            (None, kept, (a, c), " of valid steps"),
        ):
            flags = [f and case.array(np.repeat(f, case.batch, axis=0)) for f in (starts, valid)]
            _, _, piece = cell.total(params, inputs, *flags)
            case.close(after(h, piece), after(h, *left), f"{cell}: act with the total{what}")
        _reach(case, cell, params, elements, h)


def _reach(case: Case, cell: Memoroid, params: Tree, elements: list[Element], h: Tree) -> None:
    """Two states are the same behind ``reach`` steps."""
    reach = cell.reach
    if reach is None:
        return
    if not is_count(reach):
        raise CounterExample(f"{cell}: reach is {reach!r}, expected None or a positive int")
    one, other = h, tree_map(lambda s: namespace(s).zeros_like(s), h)
    for t in range(reach):
        one, other = (cell.act(params, s, elements[t % len(elements)]) for s in (one, other))
    case.close(one, other, f"{cell}: behind the {reach} steps of its reach, of two states")


def step(case: Case) -> None:
    """``step(h, u) == act(h, lift(u))``."""
    for cell, params, (_, _, c), h, inputs in _elements(case):
        u = _at(inputs, 2)
        case.close(cell._step(params, h, u), cell.act(params, h, c), f"{cell}: step")


# --- 4: execution ----------------------------------------------------------------------------------


def execution(case: Case) -> None:
    """All methods agree on outputs, final state, states and (on JAX) gradients."""
    flags = [(case.starts, case.valid)]
    if case.backend != "jax":
        flags += [(case.starts, None), (None, case.valid), (None, None)]
    for starts, valid in flags:
        want = case.run(case.methods[0], case.xs, case.state, starts, valid)
        for method in (*case.methods[1:], "auto"):
            got = case.run(method, case.xs, case.state, starts, valid)
            given = [name for name, x in (("starts", starts), ("valid", valid)) if x is not None]
            case.close(got, want, f"(state, ys) with {method}, {' and '.join(given)}:")
    if case.model.causal:
        _states(case)
    if case.backend == "jax":
        _gradients(case)


def _states(case: Case) -> None:
    """States on the way: after every step, and after every third one, are those of a run that ends there."""
    args, cut = (case.model, case.params, case.xs, case.state), 3
    single = isinstance(case.model, Cell)
    want = scan(
        *args, starts=case.starts, method="sequential", return_states=True if single else cut
    )
    if single:
        case.close(tree_map(lambda s: s[:, -1, ...], want[2]), want[0], "the last of states")
    thinned = tree_map(lambda s: s[:, cut - 1 :: cut, ...], want[2]) if single else want[2]
    for method in (*case.methods[1:], "auto"):
        got = scan(*args, starts=case.starts, method=method, chunk_size=5, return_states=cut)
        case.close(got, (*want[:2], thinned), f"(state, ys, states) with {method}, every {cut}")
    if not single:
        return
    for method in (*(m for m in case.methods if m != "fused"), "auto"):
        got = scan(*args, starts=case.starts, method=method, chunk_size=5, return_states=True)
        case.close(got, want, f"(state, ys, states) with {method}")


def _gradients(case: Case) -> None:
    args = (case.xs, case.state, case.starts, case.valid, case.valid)
    want = case.gradients(case.methods[0], *args)
    for method in case.methods[1:]:
        got = case.gradients(method, *args)
        case.close(got, want, f"gradient with {method}", gradients=True)


# --- 5: resets -------------------------------------------------------------------------------------


def reset(case: Case) -> None:
    """A packed sequence is the same sequences run apart; nothing crosses a start, not even NaN."""
    starts = np.array(case.numpy_starts)
    if case.backend == "jax":
        # The same two lengths in every row, so that few things compile.
        starts[:] = np.arange(case.length) == case.length // 3
    for method in case.methods:
        _packed(case, starts, method)
    if case.model.causal and case.length > 2:
        for method in case.methods:
            _poisoned(case, method)


def _packed(case: Case, starts: np.ndarray, method: str) -> None:
    state, ys = case.run(method, case.xs, case.state, case.array(starts))
    for row in range(case.batch):
        bounds = [0, *np.flatnonzero(starts[row]), case.length]
        for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
            if begin == end:
                continue
            continued = begin == 0 and not starts[row, 0]
            before = case.state if continued else case.fresh_at(begin + case.phase)
            steps = (slice(None), slice(begin, end))
            none = case.array(np.zeros((case.batch, end - begin), dtype=bool))
            alone, want = case.run(method, case.xs[(*steps, ...)], before, none)
            what = f"with {method}, row {row}, steps {begin} to {end} run apart:"
            case.close(ys[row, begin:end, ...], want[row, ...], f"{what} ys")
        last, lone = (tree_map(lambda s, row=row: s[row, ...], tree) for tree in (state, alone))
        case.close(last, lone, f"{what} state")


def _poisoned(case: Case, method: str) -> None:
    """A NaN and an inf in the inputs, and a NaN in the incoming state, before a start."""
    middle = case.length // 2 + 1
    steps = np.broadcast_to(np.arange(case.length), (case.batch, case.length))
    starts, after = case.array(steps == middle), steps >= middle
    want = case.run(method, case.xs, case.state, starts)
    flags = (starts, case.array(steps >= 0), case.array(after))
    if case.backend == "jax":
        gradient = case.gradients(method, case.xs, case.state, *flags)
    for xs, state, first in _not_finite(case, middle):
        got = case.run(method, xs, state, starts)
        clean = to_numpy(want[1])
        expected = np.where(align(after | (steps < first), clean.ndim), clean, np.nan)
        case.close(
            to_numpy(got[1]),
            expected.astype(clean.dtype),
            f"with {method}, not finite at {first}: ys",
        )
        case.close(got[0], want[0], f"with {method}, not finite before a start: state")
        if case.backend == "jax":
            other = case.gradients(method, xs, state, *flags)
            what = f"with {method}, not finite before a start: gradient"
            case.close(other, gradient, what, gradients=True)


def _not_finite(case: Case, middle: int) -> Iterator[tuple[Tree, Tree, int]]:
    """Inputs and states with something that is not finite, and the step where it enters."""
    state = case.numpy_state
    if any(is_floating(leaf) for leaf in tree_leaves(state)):
        bad = tree_map(lambda s: np.full_like(s, np.nan) if is_floating(s) else s, state)
        yield case.xs, case.array(bad), 0
    if case.model.input_ndim:
        for value in (np.nan, np.inf):
            xs = np.array(case.numpy_xs)
            xs[:, middle - 1, 0] = value
            yield case.array(xs), case.state, middle - 1


# --- 6, 7, 9 ---------------------------------------------------------------------------------------


def stream(case: Case) -> None:
    """Running a part, then the rest from the returned state, is running the whole."""
    if not case.model.causal:
        raise NotApplicable("the model is not causal")
    xs, starts, length = case.xs, case.starts, case.length
    splits: Tree = range(length + 1)
    if case.backend == "jax":
        splits = sorted({0, length // 3, length - length // 3, length})
    for method in case.methods:
        want = case.run(method, xs, case.state, starts)
        for t in splits:
            one, two = (slice(None), slice(0, t)), (slice(None), slice(t, None))
            state, first = case.run(method, xs[(*one, ...)], case.state, starts[one])
            state, second = case.run(method, xs[(*two, ...)], state, starts[two])
            ys = namespace(first).concat([first, second], axis=1)
            case.close((state, ys), want, f"(state, ys) with {method}, split at {t}")


def backend(case: Case) -> None:
    """The numbers are NumPy's."""
    if case.backend == "numpy":
        raise NotApplicable("this is NumPy")
    arrays = (case.numpy_params, case.numpy_xs, case.numpy_state)
    for method in runnable(case.model, arrays):
        want = case.model.apply(*arrays, starts=case.numpy_starts, method=method)
        got = case.run(method, case.xs, case.state, case.starts)
        case.close(got, want, f"(state, ys) with {method}")


def reference(case: Case) -> None:
    """The numbers are those of an independent implementation."""
    if case.reference is None:
        raise NotApplicable("no reference was given")
    _, ys = case.model.apply(case.params, case.xs, starts=case.starts)
    rows = zip(case.numpy_xs, case.numpy_starts, strict=True)
    want = [case.reference(case.numpy_params, x, starts) for x, starts in rows]
    case.close(ys, np.stack(want).astype(case.dtype), "ys against the reference")
