"""The long-term memory of Titans: golden vectors, a loop of the paper's equations, its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases.checks import close
from conftest import Backend
from golden_vectors import load
from memcore import ops

NAMES = {"q": "q", "k": "k", "v": "v", "rate": "theta", "momentum": "eta", "forget": "alpha"}
GOLDEN = [f"titans_paper_{kind}{chunk}" for kind in ("linear", "mlp") for chunk in ("", "_chunk4")]


def _tuples(a: dict[str, np.ndarray], where: str) -> tuple[Any, Any]:
    """Weights and momentum of golden vectors; the defaults that are not there are zero."""
    layers = ("1", "2") if "init/W1" in a else ("0",)
    names = [[f"{where}/{letter}{i}" for i in layers] for letter in "WS"]
    like = [[a[f"init/{letter}{i}"] for i in layers] for letter in "WS"]
    return tuple(
        tuple(a[n] if n in a else np.zeros_like(z) for n, z in zip(ns, zs, strict=True))
        for ns, zs in zip(names, like, strict=True)
    )  # type: ignore[return-value]


@pytest.mark.parametrize("method", ["sequential", "fused"])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str, method: str, backend: Backend, x64: None) -> None:
    """Cut anywhere, also inside a mini-batch; the state is the weights, the momentum and the anchor."""
    entry, a = load(name)
    size = 4 if name.endswith("chunk4") else 1
    arrays = {name: a[f"in/{n}"] for name, n in NAMES.items()}
    suffix = ("1", "2") if "mlp" in name else ("",)
    initial = backend.asarray(_tuples(a, "param")[0])
    for out, where in (("out", "param"), ("out_init", "init")):
        weights, momentum = _tuples(a, where)
        for cut, chunk_size in ((37, None), (1, None), (6, 2), (13, 3)):
            memory: Any = {"weights": weights, "momentum": momentum}
            if size > 1:
                memory = {"phase": np.zeros(2, np.int32), "memory": {**memory, "anchor": weights}}
            state, outs = backend.asarray(memory), []
            for begin, end in ((0, cut), (cut, 37)):
                piece = backend.asarray({n: x[:, begin:end] for n, x in arrays.items()})
                how: Any = {"mini_batch": size, "method": method, "chunk_size": chunk_size}
                state, o = ops.neural_memory(**piece, weights=initial, state=state, **how)
                outs.append(np.asarray(o))
            state = state["memory"] if size > 1 else state
            got = (np.concatenate(outs, axis=1), state["weights"], state["momentum"])
            want = (
                a[f"{out}/o"],
                tuple(a[f"{out}/W{i}"] for i in suffix),
                tuple(a[f"{out}/S{i}"] for i in suffix),
            )
            close(got, want, entry["tolerance"]["float64_impl"])


HEADS, D, HIDDEN, LENGTH = 2, 3, 4, 19


def drawn(
    depth: int, length: int = LENGTH, seed: int = 0
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Arrays of two sequences, and the weights of a memory of some layers."""
    rng = np.random.default_rng(seed)
    arrays = {n: 0.7 * rng.standard_normal((2, length, HEADS, D)) for n in "qkv"}
    bounds = {"rate": 0.1, "momentum": 0.9, "forget": 0.2}
    gates = {n: rng.uniform(0, most, (2, length, HEADS)) for n, most in bounds.items()}
    widths = [D, *[HIDDEN] * (depth - 1), D]
    pairs = zip(widths, widths[1:], strict=False)
    return {**arrays, **gates}, tuple(0.6 * rng.standard_normal((HEADS, *pair)) for pair in pairs)


def _forward(W: Any, x: Any, residual: bool) -> Any:
    z = x
    for i, w in enumerate(W):
        z = (z / (1 + np.exp(-z)) if i else z) @ w
    return z + x if residual else z


def _slope(W: Any, k: Any, v: Any, residual: bool) -> list[Any]:
    """The gradient of ``|M(k) - v|^2`` by central differences of a complex step: exact to rounding."""
    found = []
    for i, w in enumerate(W):
        grad = np.zeros_like(w)
        for index in np.ndindex(*w.shape):
            moved = [np.array(x, complex) for x in W]
            moved[i][index] += 1e-40j
            grad[index] = np.sum((_forward(moved, k, residual) - v) ** 2).imag / 1e-40
        found.append(grad)
    return found


def loop(
    x: Any, weights: Any, size: int, residual: bool, starts: Any = None, valid: Any = None
) -> tuple[Any, Any]:
    """One sequence from the beginning of the grid: ``(weights, outs)``, one head and step at a time."""
    outs, finals = np.zeros_like(x["q"]), []
    for h in range(HEADS):
        W = [w[h] for w in weights]
        S, anchor = [0 * w for w in W], W
        for t in range(len(outs)):
            if starts is not None and starts[t]:
                W = anchor = [w[h] for w in weights]
                S = [0 * w for w in W]
            if valid is None or valid[t]:
                G = _slope(anchor, x["k"][t, h], x["v"][t, h], residual)
                theta, eta, alpha = (x[n][t, h] for n in ("rate", "momentum", "forget"))
                S = [eta * s - theta * g for s, g in zip(S, G, strict=True)]
                W = [(1 - alpha) * w + s for w, s in zip(W, S, strict=True)]
                outs[t, h] = _forward(W, x["q"][t, h], residual)
            if t % size == size - 1:
                anchor = W
        finals.append(W)
    return tuple(np.stack(ws) for ws in zip(*finals, strict=True)), outs


@pytest.mark.parametrize("method", ["sequential", "fused"])
@pytest.mark.parametrize(("depth", "size", "residual"), [(1, 4, True), (2, 1, True), (3, 5, False),
                                                         (4, 32, True)])  # fmt: skip
def test_loop(
    depth: int, size: int, residual: bool, method: str, backend: Backend, x64: None
) -> None:
    """Starts inside mini-batches, padding, a grid that the sequence ends inside of."""
    arrays, weights = drawn(depth)
    rng = np.random.default_rng(1)
    starts, valid = rng.random((2, LENGTH)) < 0.2, rng.random((2, LENGTH)) < 0.8
    how: Any = backend.asarray({"starts": starts, "valid": valid})
    state, out = ops.neural_memory(
        **backend.asarray(arrays), weights=backend.asarray(weights), mini_batch=size,
        residual=residual, method=method, **how,
    )  # fmt: skip
    memory = state["memory"] if size > 1 else state
    for i in range(2):
        own = {n: x[i] for n, x in arrays.items()}
        want = loop(own, weights, size, residual, starts[i], valid[i])
        got = tuple(np.asarray(w)[i] for w in memory["weights"]), np.asarray(out)[i]
        close(got, want)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_stream_cut_anywhere(size: int, backend: Backend) -> None:
    """Shorter than a mini-batch, no multiple of it, step by step: as the whole, and no chunk size counts."""
    arrays, weights = drawn(2)
    starts = np.arange(LENGTH) % 7 == 5
    want = ops.neural_memory(**arrays, weights=weights, mini_batch=size, starts=starts)
    for pieces in ([1] * LENGTH, [3] * 6 + [1], [10, 9], [0, 19]):
        for chunk_size in (None, 1, 6):
            state, outs, begin = None, [], 0
            for n in pieces:
                now = slice(begin, begin + n)
                piece = {name: x[:, now] for name, x in arrays.items()}
                how: Any = {"mini_batch": size, "chunk_size": chunk_size, "starts": starts[now]}
                state, out = ops.neural_memory(**piece, weights=weights, state=state, **how)
                outs.append(out)
                begin += n
            close((state, np.concatenate(outs, axis=1)), want)


@pytest.mark.backend("numpy")
def test_weights_of_each_sequence(backend: Backend) -> None:
    """Batch axes in front of the weights, and none at all."""
    arrays, weights = drawn(2)
    own = tuple(np.stack([w, 2 * w]) for w in weights)
    both = ops.neural_memory(**arrays, weights=own, mini_batch=4)[1]
    for i in range(2):
        one = {n: x[i] for n, x in arrays.items()}
        alone = ops.neural_memory(**one, weights=tuple(w[i] for w in own), mini_batch=4)[1]
        close(both[i], alone)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", ["sequential", "fused"])
def test_what_is_not_finite_ends_at_a_start(method: str, backend: Backend) -> None:
    arrays, weights = drawn(2, 12)
    starts = np.isin(np.arange(12), (3, 6))
    how: Any = {"weights": weights, "mini_batch": 12, "starts": starts, "method": method}
    want = ops.neural_memory(**arrays, **how)
    broken = np.array(arrays["v"])
    broken[:, 4] = np.nan
    state, out = ops.neural_memory(**{**arrays, "v": broken}, **how)
    assert np.isnan(out[:, 4:6]).all()
    close((state, out[:, :4], out[:, 6:]), (want[0], want[1][:, :4], want[1][:, 6:]))


@pytest.mark.backend("jax")
@pytest.mark.parametrize("depth", [1, 2])
def test_gradients_of_the_methods(depth: int, backend: Backend, x64: None) -> None:
    import jax
    import jax.numpy as jnp

    arrays, weights = backend.asarray(drawn(depth))
    starts = jnp.arange(LENGTH) == 6

    @jax.jit
    def gradients(arrays: Any, weights: Any) -> Any:
        def loss(method: str, both: Any) -> Any:
            how: Any = {"weights": both[1], "mini_batch": 4, "starts": starts, "method": method}
            return jnp.sum(jnp.sin(ops.neural_memory(**both[0], **how)[1]))

        return [jax.grad(lambda b, m=m: loss(m, b))((arrays, weights)) for m in METHODS]

    close(*gradients(arrays, weights))


METHODS = ("sequential", "fused")


@pytest.mark.backend("jax")
@pytest.mark.parametrize("depth", [1, 2])
def test_a_long_stream_in_bfloat16(depth: int, backend: Backend) -> None:
    """100,000 steps; the state is float32."""
    import jax.numpy as jnp

    steps = 100_000
    rng = np.random.default_rng(0)
    arrays = {n: rng.standard_normal((steps, 1, 4)).astype("float32") for n in "qkv"}
    arrays["k"] /= np.linalg.norm(arrays["k"], axis=-1, keepdims=True)
    gates = {n: np.full((steps, 1), x, "float32") for n, x in
             (("rate", 0.02), ("momentum", 0.5), ("forget", 0.01))}  # fmt: skip
    weights = tuple(
        jnp.asarray(0.5 * rng.standard_normal((1, 4, 4)), jnp.float32) for _ in range(depth)
    )
    half = {n: jnp.asarray(x, jnp.bfloat16) for n, x in (arrays | gates).items()}
    state, out = ops.neural_memory(**half, weights=weights, mini_batch=16)
    assert out.dtype == jnp.bfloat16 and bool(jnp.all(jnp.isfinite(out)))
    assert all(w.dtype == jnp.float32 for w in state["memory"]["weights"])


@pytest.mark.backend("numpy")
def test_a_pair_is_read_back(backend: Backend) -> None:
    """At rate 1/2 one step of the exact recurrence puts the value at a key of norm 1; another key of norm 1
    at a right angle keeps its own."""
    key = np.eye(4)[:2, None, :]
    value = np.arange(8.0).reshape(2, 1, 4)
    one = np.ones((2, 1))
    w = (np.zeros((1, 4, 4)),)
    state, out = ops.neural_memory(key, key, value, 0.5 * one, 0 * one, 0 * one, w)
    close(out, value)
    close(state["weights"][0][0, :2], value[:, 0])


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("size", [4, 16])
def test_equal_keys_of_a_mini_batch_add_up(size: int, backend: Backend) -> None:
    """One value, told again and again: it is learned at a rate of 0.4 / mini_batch, and lost at twice 1."""
    key = np.broadcast_to(np.eye(4)[0], (512, 1, 4))
    value = np.broadcast_to(np.arange(1.0, 5.0), (512, 1, 4))
    one, w = np.ones((512, 1)), (np.zeros((1, 4, 4)),)

    def error(rate: float) -> float:
        gates = rate / size * one, 0 * one, 0 * one
        _, out = ops.neural_memory(key, key, value, *gates, w, mini_batch=size)
        return float(np.max(np.abs(out[-1] - value[-1])))

    assert error(0.4) < 1e-3 and error(2.0) > 1e3


X, G = np.zeros((2, 5, HEADS, D)), np.zeros((2, 5, HEADS))
W = np.zeros((HEADS, D, D))


@pytest.mark.backend("numpy")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": W}, r"^weights is a ndarray, expected a tuple of 1 to 4 matrices"),
        ({"weights": (W,) * 5}, r"^weights is a tuple, expected a tuple of 1 to 4 matrices"),
        (
            {"weights": (W[:, :2],)},
            r"^weights\[0\] has shape \(2, 2, 3\), expected \(..., 2, 3, 3\)",
        ),
        ({"weights": (W[None, None],)}, r"^weights\[0\] has shape .* at most the batch axes of q"),
        ({"mini_batch": 0}, r"^mini_batch is 0, expected a positive int"),
        ({"method": "associative"}, r"^method is 'associative', expected one of"),
        ({"k": X[..., :2]}, r"^k has shape \(2, 5, 2, 2\), expected \(2, 5, 2, 3\) to match q"),
        ({"forget": G[0]}, r"^forget has shape \(5, 2\), expected \(2, 5, 2\) to match q"),
        ({"state": {"weights": (W,)}}, r"^state has the structure"),
        ({"starts": np.zeros((2, 4), bool)}, r"^starts has shape \(2, 4\), expected \(2, 5\)"),
    ],
)
def test_errors(wrong: dict[str, Any], message: str, backend: Backend) -> None:
    given: dict[str, Any] = {"q": X, "k": X, "v": X, "rate": G, "momentum": G, "forget": G}
    with pytest.raises((TypeError, ValueError), match=message):
        ops.neural_memory(**{**given, "weights": (W,), **wrong})


@pytest.mark.backend("numpy")
def test_rows_at_different_places(backend: Backend) -> None:
    given: dict[str, Any] = {
        "q": X,
        "k": X,
        "v": X,
        "rate": G,
        "momentum": G,
        "forget": G,
        "weights": (W,),
    }
    state = ops.neural_memory(**given, mini_batch=4)[0]
    state["phase"] = np.array([1, 2], np.int32)
    with pytest.raises(ValueError, match=r"^state/phase is \[1, 2\], expected one number"):
        ops.neural_memory(**given, state=state, mini_batch=4)


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("size", [np.inf, 3e38, 1e38, 1e25])
def test_an_overflow_stays_in_its_segment(
    size: float, depth: int, chunk_size: int | None, backend: Backend
) -> None:
    """In a key at step 8 of a segment from 5 to 11, all in one mini-batch: no other segment changes, nor the
    past. At 1e38 its gradient is finite, and its products with queries are not."""
    rng = np.random.default_rng(0)
    arrays = {n: rng.standard_normal((2, 17, 2, 3)).astype(np.float32) for n in "qkv"}
    arrays["q"] *= 9
    gates = {n: np.full((2, 17, 2), 0.1, np.float32) for n in ("rate", "momentum", "forget")}
    weights = tuple(0.1 * rng.standard_normal((2, 3, 3)).astype(np.float32) for _ in range(depth))
    starts = np.isin(np.arange(17), (5, 12)) & np.ones((2, 1), bool)
    bad = {n: x.copy() for n, x in arrays.items()}
    bad["k"][0, 8] = size

    def run(arrays: Any, method: str) -> Any:
        given = backend.asarray({**arrays, **gates, "weights": weights, "starts": starts})
        how: Any = {"mini_batch": 16, "method": method, "chunk_size": chunk_size}
        with np.errstate(all="ignore"):
            state, out = ops.neural_memory(**given, **how)
        return np.asarray(out), state["memory"]["weights"]

    (want, after), (got, last) = run(arrays, "sequential"), run(bad, "fused")
    kept = np.r_[:8, 12:17]
    close((got[:, kept], got[1], last), (want[:, kept], want[1], after), 2e-5)
