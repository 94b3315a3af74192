"""Running softmax, log-sum-exp and maximum: golden vectors, promises, limits and errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from conftest import Backend
from golden_vectors import load
from memcore import ops
from memcore.backend import namespace
from memcore.engine.call import Call
from memcore.ops.run import run_rule
from memcore.ops.semiring.softmax import SoftmaxRule
from op_cases import BATCH, HEADS, OPS, VALUES, WIDTH, loop
from op_cases.checks import METHODS, close

EVERY = ["softmax", "softmax_decay", "log_sum_exp", "log_sum_exp_decay", "max_plus"]
DECAY = {"softmax_decay": "g", "log_sum_exp_decay": "g", "max_plus": "a"}
FLOOR = -1e38


# --- golden vectors --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_golden_aaren(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("aaren")
    k, v = a["in/k"], a["in/v"]
    scores = np.einsum("hk,bthk->bth", a["param/q"], k) * k.shape[-1] ** -0.5
    start = (a["init/m0"], a["init/c0"], a["init/a0"])
    for out, state in (("out", None), ("out_init", start)):
        got = ops.softmax(
            *backend.asarray((scores, v)),
            state=backend.asarray(state),
            method=method,
            chunk_size=16,
        )
        want = tuple(a[f"{out}/{n}"] for n in "mca")
        close(got, (want, a[f"{out}/o"]), entry["tolerance"]["float64_impl"])


@dataclass(frozen=True)
class Wkv(SoftmaxRule):
    """RWKV-4's read: the memory before this step, and this step's value with a bonus."""

    reads_previous = True

    def read(self, state: Any, inputs: Any) -> Any:
        m, u, w = state
        xp = namespace(m)
        now = inputs["bonus"] + inputs["scores"]
        top = xp.maximum(m, now)
        old, new = xp.exp(m - top), xp.exp(now - top)
        weighted = old[..., None] * w + new[..., None] * inputs["v"]
        return weighted / (old * u + new)[..., None]


def wkv() -> tuple[dict[str, Any], dict[str, np.ndarray], Any]:
    """The entry, the inputs of the rule (a head per channel), and the state that it begins with."""
    entry, a = load("rwkv4_wkv")
    inputs = {
        "scores": a["in/k"],
        "v": a["in/v"][..., None],
        "log_decay": -np.exp(a["param/time_decay"])[None, None],
        "bonus": a["param/time_first"][None, None],
    }
    return entry, inputs, (a["init/max0"], a["init/den0"], a["init/num0"][..., None])


@pytest.mark.parametrize("method", METHODS[:3])
def test_golden_wkv(method: str, backend: Backend, x64: None) -> None:
    entry, inputs, start = wkv()
    a = load("rwkv4_wkv")[1]
    for out, state in (("out", None), ("out_init", start)):
        (m, u, w), o = run_rule(
            Wkv(), backend.asarray(inputs), "v", -3, backend.asarray(state), None,
            Call(method=method, chunk_size=16),
        )  # fmt: skip
        want = tuple(a[f"{out}/{n}"] for n in ("max", "den", "num", "o"))
        close((m, u, w[..., 0], o[..., 0]), want, entry["tolerance"]["float64_impl"])


@pytest.mark.parametrize("start", ["out", "out_init"])
def test_golden_wkv_from_two_rules(start: str, backend: Backend, x64: None) -> None:
    """The mean before this step has the weight of its log-sum-exp, the current value its own."""
    entry, inputs, (m, u, w) = wkv()
    want = load("rwkv4_wkv")[1][f"{start}/o"]
    if start == "out":
        m, u, w = np.full_like(m, FLOOR), np.zeros_like(u), np.zeros_like(w)
    k, v, decay = (inputs[n] for n in ("scores", "v", "log_decay"))
    before = np.where(u > 0, m + np.log(np.where(u > 0, u, 1)), FLOOR)
    first = np.where(u > 0, w[..., 0] / np.where(u > 0, u, 1), 0)
    arrays = backend.asarray((k, v, decay[0, 0], (m, u, w)))
    _, o = ops.softmax(*arrays, method="fused", chunk_size=16)
    _, z = ops.log_sum_exp(*backend.asarray((k, decay[0, 0], before)), method="fused")
    o = np.concatenate([first[:, None], np.asarray(o)[:, :-1, :, 0]], axis=1)
    z = np.concatenate([before[:, None], np.asarray(z)[:, :-1]], axis=1)
    now = 1 / (1 + np.exp(np.clip(z - inputs["bonus"] - k, -700, 700)))
    close(now * v[..., 0] + (1 - now) * o, want, entry["tolerance"]["float64_impl"])


@pytest.mark.parametrize("method", METHODS)
def test_golden_nmax(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("memax_nmax")
    x, starts = a["in/x"], a["in/start"]
    decay, zero = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    decay, x, zero, starts = backend.asarray((decay, x, zero, starts))
    state, h = ops.max_plus(decay, x, initial=zero, starts=starts, method=method)
    h = np.asarray(h)
    got = np.asarray(state), h / np.sum(np.abs(h), axis=-1, keepdims=True)
    close(got, (a["out/h"], a["out/y"]), entry["tolerance"]["float64_impl"])


@pytest.mark.parametrize("method", METHODS)
def test_golden_lightnet(method: str, backend: Backend, x64: None) -> None:
    """Its normaliser is a log-sum-exp, and its decay what that grows by."""
    entry, a = load("lightnet")
    q, k, v = (a[f"in/{n}"] for n in "qkv")
    flat = k.reshape(*k.shape[:2], -1)
    after, z = ops.log_sum_exp(backend.asarray(flat), method=method)
    z = np.asarray(z).reshape(k.shape)
    before = np.concatenate([np.full_like(z[:, :1], FLOOR), z[:, :-1]], axis=1)
    arrays = backend.asarray((q, np.exp(k - z), v, before - z))
    state, o = ops.linear_attention(*arrays, scale=q.shape[-1] ** -0.5, method=method)
    got = np.asarray(after).reshape(a["out/z"].shape), state, o
    close(got, (a["out/z"], a["out/S"], a["out/o"]), entry["tolerance"]["float64_impl"])


# --- what they are ---------------------------------------------------------------------------------


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_a_softmax_memory_is_full_attention(method: str, backend: Backend) -> None:
    """Of one query that does not change: every prefix' own softmax."""
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((HEADS, 4)), rng.standard_normal((BATCH, 33, HEADS, 4))
    v = rng.standard_normal((BATCH, 33, HEADS, VALUES))
    scores = np.einsum("hk,bthk->bth", q, k)
    arrays = (scores.astype(np.float32), v.astype(np.float32))
    _, out = ops.softmax(*backend.asarray(arrays), method=method, chunk_size=8)
    for t in range(33):
        e = np.exp(scores[:, : t + 1])
        want = np.einsum("bth,bthv->bhv", e / e.sum(1, keepdims=True), v[:, : t + 1])
        np.testing.assert_allclose(np.asarray(out)[:, t], want, rtol=0, atol=2e-6)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_running_sum_and_maximum(method: str, backend: Backend) -> None:
    x = np.random.default_rng(0).standard_normal((BATCH, 33, WIDTH))
    zero, given = backend.asarray((np.zeros(WIDTH), x))
    _, total = ops.log_sum_exp(given, method=method, chunk_size=8)
    close(total, np.log(np.cumsum(np.exp(x), axis=1)))
    _, largest = ops.max_plus(zero, given, method=method, chunk_size=8)
    close(largest, np.maximum.accumulate(x, axis=1), 0)


@pytest.mark.backend("numpy")
def test_log_sum_exp_is_the_logarithm_of_a_softmax_denominator(backend: Backend) -> None:
    x = OPS["softmax_decay"].draw(np.random.default_rng(0), 33)
    (m, u, _), _ = ops.softmax(x["s"], x["v"], x["g"])
    close(ops.log_sum_exp(x["s"], x["g"])[0], m + np.log(u))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", DECAY)
def test_a_decay_may_be_constant_in_time_or_over_the_batch(name: str, backend: Backend) -> None:
    op, rng = OPS[name], np.random.default_rng(0)
    arrays, state = op.draw(rng, 5), op.state(rng)
    valid = np.array([[True, True, False, True, True]] * BATCH)
    full = arrays[DECAY[name]].shape
    shapes = [(), (1,), full[2:], (1, *full[2:]), full[1:], (1, 1, *full[2:])]
    for shape in [*shapes, (BATCH, 1, *full[2:]), (BATCH, 5, 1)]:
        decay = -np.asarray(rng.uniform(0, 1, shape))
        given = {**arrays, DECAY[name]: np.broadcast_to(decay, full)}
        want = loop(op, given, state, valid=valid)
        given = backend.asarray({**arrays, DECAY[name]: decay})
        how = {"valid": backend.asarray(valid), "chunk_size": 2}
        for method in METHODS:
            close(op.run(given, backend.asarray(state), **how, method=method), want)


# --- limits ----------------------------------------------------------------------------------------


def extreme(name: str, rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
    """Whole numbers up to 1e4, some of them nothing, with decays of 0, -1, -1e4 and -inf."""
    arrays = OPS[name].draw(rng, length)
    for n, x in arrays.items():
        if n == DECAY.get(name):
            arrays[n] = rng.choice([0.0, -1, -1e4, -np.inf], x.shape, p=[0.4, 0.4, 0.1, 0.1])
        elif n != "v":
            scores = np.round(rng.uniform(-1e4, 1e4, x.shape))
            near = np.round(1e4 - 3 * rng.random(x.shape))
            scores = np.where(rng.random(x.shape) < 0.3, near, scores)
            arrays[n] = np.where(rng.random(x.shape) < 0.1, -np.inf, scores)
    return arrays


def whole(name: str, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """``(h, out)`` at every step, from the sums of logarithms of all pairs: h is the logarithm that the
    state holds, the largest or that of the sum."""
    x = arrays["s" if "v" in arrays else "b" if "b" in arrays else "x"]
    decay = arrays.get(DECAY.get(name, ""), np.zeros_like(x))
    hs, outs = [], []
    for t in range(x.shape[1]):
        logits = [x[:, j] + decay[:, j + 1 : t + 1].sum(1) for j in range(t + 1)]
        top = np.maximum(np.max(logits, axis=0), FLOOR)
        weights = np.exp(logits - top)
        total = weights.sum(0)
        h = top if name == "max_plus" or "v" in arrays else top + np.log(np.maximum(total, 1e-300))
        hs.append(h)
        if "v" in arrays:
            mean = np.einsum("jbh,bjhv->bhv", weights, arrays["v"][:, : t + 1])
            outs.append(mean / np.where(total > 0, total, 1)[..., None])
    return np.stack(hs, 1), np.stack(outs or hs, 1)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", EVERY)
def test_extreme_numbers(name: str, method: str, backend: Backend) -> None:
    """In float32, where all sums of these logarithms are exact."""
    arrays = extreme(name, np.random.default_rng(0), 65)
    h, want = whole(name, arrays)
    low = {n: x.astype(np.float32) for n, x in arrays.items()}
    state, out = OPS[name].run(backend.asarray(low), None, method=method, chunk_size=16)
    last = np.asarray(state[0] if isinstance(state, tuple) else state)
    tolerance = 2e-3 if "log_sum_exp" in name else 1e-5  # a float32 of 1e4 has steps of 1e-3
    for a, b in ((last, h[:, -1]), (np.asarray(out), want)):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=tolerance)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", DECAY)
def test_gradients_of_extreme_numbers(name: str, backend: Backend, x64: None) -> None:
    """Finite, and the same in every method."""
    import jax
    import jax.numpy as jnp

    op, rng = OPS[name], np.random.default_rng(0)
    arrays = extreme(name, rng, 17)
    arrays = {n: x + 0.1 * rng.standard_normal(x.shape) for n, x in arrays.items()}  # no ties
    starts = backend.asarray(rng.random((BATCH, 17)) < 0.2)

    def loss(arrays: Any, method: str) -> Any:
        state, out = op.run(arrays, None, starts=starts, method=method, chunk_size=5)
        return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves((state, out)))

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    given = backend.asarray(arrays)
    want = gradient(given, "sequential")
    for leaf in want.values():
        assert np.all(np.isfinite(np.asarray(leaf)))
        assert np.any(np.asarray(leaf))
    for method in METHODS[1:]:
        close(gradient(given, method), want, 1e-9)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("nothing", [-np.inf, FLOOR, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_an_empty_memory(name: str, nothing: float, backend: Backend) -> None:
    """Scores not above the floor: the state stays empty, and a mean of nothing is 0."""
    op, rng = OPS[name], np.random.default_rng(0)
    arrays = {n: x.astype(np.float32) for n, x in op.draw(rng, 9).items()}
    arrays = {n: x if n in ("v", op.decay) else np.full_like(x, nothing) for n, x in arrays.items()}
    empty = op.empty(op.state(rng))
    for method in METHODS:
        state, out = op.run(backend.asarray(arrays), None, method=method, chunk_size=4)
        close(state, empty, 1e-6)
        want = np.zeros_like(arrays["v"]) if "v" in arrays else np.full(out.shape, FLOOR)
        close(out, want, 1e-6)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("method", ["sequential", "fused"])
@pytest.mark.parametrize("name", DECAY)
def test_gradients_of_nothing(name: str, method: str, backend: Backend) -> None:
    """An empty memory has none: it stays empty."""
    import jax
    import jax.numpy as jnp

    op = OPS[name]

    def loss(arrays: Any) -> Any:
        result = op.run(arrays, None, method=method, chunk_size=4)
        return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(result))

    arrays = {n: x.astype(np.float32) for n, x in op.draw(np.random.default_rng(0), 9).items()}
    arrays = {n: x if n in ("v", op.decay) else np.full_like(x, -np.inf) for n, x in arrays.items()}
    for leaf in jax.jit(jax.grad(loss))(backend.asarray(arrays)).values():
        np.testing.assert_array_equal(np.asarray(leaf), 0)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", EVERY)
def test_a_score_of_minus_infinity_is_left_out(name: str, method: str, backend: Backend) -> None:
    """What it is compared with has that step taken out, but for its decay."""
    op, rng = OPS[name], np.random.default_rng(0)
    arrays, state = op.draw(rng, 9), op.state(rng)
    without = {n: np.delete(x, 4, axis=1) for n, x in arrays.items()}
    if op.decay:
        without[op.decay][:, 4] += arrays[op.decay][:, 4]
    for n in arrays.keys() - {"v", op.decay}:
        arrays[n][:, 4] = -np.inf
    how = {"method": method, "chunk_size": 4}
    after, out = op.run(*backend.asarray((arrays, state)), **how)
    want = op.run(*backend.asarray((without, state)), **how)
    close((after, np.delete(np.asarray(out), 4, axis=1)), want)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("method", METHODS)
def test_a_maximum_of_equals_is_the_latest(method: str, backend: Backend) -> None:
    import jax
    import jax.numpy as jnp

    def last(a: Any, b: Any, state: Any) -> Any:
        return jnp.sum(ops.max_plus(a, b, state, method=method, chunk_size=4)[0])

    arrays = (
        np.zeros((9, 1)),
        np.array([[0.0], [2], [1], [2], [2], [0], [2], [1], [0]]),
        np.full(1, 2),
    )
    arrays = backend.asarray(tuple(x.astype(np.float32) for x in arrays))
    a, b, state = jax.grad(last, (0, 1, 2))(*arrays)
    np.testing.assert_array_equal(np.asarray(b)[:, 0], np.arange(9) == 6)
    np.testing.assert_array_equal(np.asarray(a)[:, 0], np.arange(9) > 6)
    assert not np.any(np.asarray(state))


@pytest.mark.backend("jax")
@pytest.mark.parametrize("method", METHODS)
def test_equals_share_the_gradient_of_their_sum(method: str, backend: Backend) -> None:
    import jax

    x = backend.asarray(np.ones((8, 1), np.float32))
    gradient = jax.grad(lambda x: ops.log_sum_exp(x, method=method, chunk_size=4)[0][0])(x)
    np.testing.assert_allclose(np.asarray(gradient), 1 / 8, rtol=1e-6)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", EVERY)
def test_padding_before_all_else_in_half_precision(name: str, backend: Backend) -> None:
    """The floor of a state is no number of float16: it must not reach the outputs."""
    arrays = {
        n: x.astype(np.float16) for n, x in OPS[name].draw(np.random.default_rng(0), 5).items()
    }
    valid = np.arange(5) > 1
    for method in METHODS:
        state, out = OPS[name].run(arrays, None, valid=valid, method=method)
        assert out.dtype == np.float16 and np.all(np.isfinite(out))
        assert not np.any(out[:, :2])


# --- errors ----------------------------------------------------------------------------------------

S, V = np.zeros((2, 5, HEADS)), np.zeros((2, 5, HEADS, VALUES))
X = np.zeros((2, 5, WIDTH))
ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "scores": (lambda: ops.softmax(S[0, 0], V[0, 0]), r"^scores has shape \(2,\), expected"),
    "scores_dtype": (lambda: ops.softmax(S.astype(int), V), r"^scores has dtype int64, expected"),
    "v": (
        lambda: ops.softmax(S, V[:, :4]),
        r"^v has shape \(2, 4, 2, 3\), expected \(2, 5, 2, 3\)",
    ),
    "v_rank": (
        lambda: ops.softmax(S, V[0, 0]),
        r"^v has shape \(2, 3\), expected \(..., T, H, V\)",
    ),
    "log_decay": (
        lambda: ops.softmax(S, V, S[:, :4]),
        r"^log_decay has shape \(2, 4, 2\), expected one that broadcasts to scores \(2, 5, 2\)",
    ),
    "state": (lambda: ops.softmax(S, V, state=S[:, 0]), r"^state has the structure"),
    "state_shape": (
        lambda: ops.softmax(S, V, state=(S[:, 0], S[:, 0], S[:, 0])),
        r"^state/2 has shape \(2, 2\), expected \(2, 2, 3\)",
    ),
    "x": (lambda: ops.log_sum_exp(X[0, 0]), r"^x has shape \(3,\), expected"),
    "decay_dtype": (lambda: ops.max_plus(0, X), r"^a has dtype int64, expected floating"),
    "x_decay": (lambda: ops.log_sum_exp(X, S), r"^log_decay has shape \(2, 5, 2\), expected"),
    "a": (lambda: ops.max_plus(np.zeros(4), X), r"^a has shape \(4,\), expected"),
    "b": (lambda: ops.max_plus(X[0, 0], X[0, 0]), r"^b has shape \(3,\), expected"),
    "initial": (
        lambda: ops.max_plus(X, X, initial=np.zeros(4)),
        r"^initial has shape \(4,\), expected \(2, 3\)",
    ),
}


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, backend: Backend) -> None:
    call, message = ERRORS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
