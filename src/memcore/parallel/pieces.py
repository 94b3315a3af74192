"""Time in parallel: every device holds a consecutive piece of each sequence."""

from __future__ import annotations

from memcore.backend import as_draw, is_jax, piece
from memcore.cell import Model
from memcore.engine import Call
from memcore.engine.checks import check_method, check_model
from memcore.engine.pieces import check_pieces
from memcore.engine.run import run_model
from memcore.types import Array, Key, Params, Starts, State


def apply(
    model: Model, params: Params, xs: Array, state: State = None, *, axis_name: str,
    starts: Starts = None, valid: Array = None, method: str = "auto",
    chunk_size: int | None = None, key: Key = None,
) -> tuple[State, Array]:  # fmt: skip
    """Run over sequences whose time is split over devices, inside ``jax.shard_map``.

    One pass over its piece gives each device the piece as one element of every recurrence; they are
    gathered from all devices, once per recurrence, and what stands before the piece follows from them; a
    second pass runs the piece from there. What is sent is the size of elements, whatever the length: for a
    memory of K x V numbers with decays that and the decays, for the delta rule K x K numbers more. A window
    of W steps goes from each device to the next, W items; where pieces are shorter, or a piece has fewer
    ``valid`` steps, windows are gathered too. The numbers are those of one device, and so are the gradients.

    The idea is that of LASP (Sun et al., arXiv:2404.02882 and 2502.07563), here for any associative memory,
    with starts and padding.

    Args:
        model: a causal `Model` whose recurrences are all associative, or run by ``newton``.
        params: its parameters, the same on all devices.
        xs: ``(..., T / devices, in_features)``, this device's piece; pieces follow the order of the axis.
        state: where the sequences continue from, the same on all devices; None begins afresh.
        axis_name: the axis of the mesh along which time is split.
        starts: ``(..., T / devices)`` bool, this device's piece.
        valid: ``(..., T / devices)`` bool, this device's piece.
        method: ``"auto"`` or one of ``model.methods``, for the second pass. With ``"newton"`` cells that are
            not associative run too: every iteration of Newton's method is an associative recurrence, whose
            elements are gathered.
        chunk_size: as in ``model.apply``.
        key: for dropout and noise; each device draws its own.

    Returns:
        ``(state, ys)``: the state after the last piece, the same on all devices, and this device's piece of
        the outputs.

    Raises:
        ValueError: the model has a recurrence that is not associative and does not run by ``method``, or
            attention without a window; no `shard_map` around has the axis; or an argument does not fit. The
            message names it.
        TypeError: ``xs`` is no JAX array, ``model`` no model, or ``axis_name`` no name.
    """
    check_model(model)
    check_method(model, method, chunk_size)
    check_pieces(model, method)
    if not is_jax(xs):
        raise TypeError(f"xs is a {type(xs).__name__}, expected a JAX array inside jax.shard_map")
    if not isinstance(axis_name, str):
        raise TypeError(
            f"axis_name is {axis_name!r}, expected the name of an axis of the jax.shard_map around"
        )
    try:
        index, _ = piece(axis_name)
    except (NameError, TypeError) as error:
        raise ValueError(
            f"axis_name is {axis_name!r}, expected an axis of the jax.shard_map around: {error}"
        ) from error
    key = None if key is None else as_draw(key).at(index)
    call = Call(starts, valid, method, chunk_size, key, axis_name=axis_name)
    state, ys = run_model(model, params, xs, state, call)
    return state, ys
