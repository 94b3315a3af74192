"""The references against golden vectors: so a third party checks the references as well."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from cases.models.compose.residual_stack import residual_stack
from cases.models.diagonal.lru import lru
from cases.models.gated.gru import gru
from cases.models.gated.lstm import lstm
from cases.models.matrix.gated_delta_net import delta_rule_step, gated_delta_net
from cases.models.matrix.linear_attention import linear_attention
from cases.models.window.attention import attention
from golden_vectors import FOLDER, index, load

close = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)


def normal(shape: Any, seed: int = 0) -> np.ndarray:
    return 0.5 * np.random.default_rng([seed, *np.atleast_1d(shape)]).standard_normal(shape)


def kernels(**shapes: tuple[int, int]) -> dict[str, Any]:
    return {name: {"kernel": normal(shape, i)} for i, (name, shape) in enumerate(shapes.items())}


def through(arrays: dict[str, np.ndarray], order: list[int] | None = None) -> tuple[Any, Any]:
    """Golden q, k, v as one input x = (q, k, v) (B, T, 2HK+HV), and kernels that pick them out.

    `order` permutes the K channels of q and k; `y[..., : H * V]` is the output o.
    """
    q, k, v = (arrays[f"in/{name}"] for name in "qkv")
    if order is not None:
        q, k = q[..., order], k[..., order]
    xs = np.concatenate([a.reshape(*a.shape[:2], -1) for a in (q, k, v)], axis=-1)
    eye, n = np.eye(xs.shape[-1]), q.shape[-2] * q.shape[-1]
    picks = {"query": eye[:, :n], "key": eye[:, n : 2 * n], "value": eye[:, 2 * n :]}
    params = {name: {"kernel": kernel} for name, kernel in picks.items()}
    return params | {"output": {"kernel": eye[: v.shape[-2] * v.shape[-1]]}}, xs


def test_every_golden_file_loads_and_is_in_the_index() -> None:
    assert set(index()) == {path.stem for path in FOLDER.glob("*.npz")}
    for name in index():
        entry, arrays = load(name)
        assert set(entry) == {"name", "paper", "reference", "equations", "tolerance", "config"}
        assert any(key.startswith("in/") for key in arrays)
        assert all(np.all(np.isfinite(array)) for array in arrays.values())


@pytest.mark.parametrize("out", ["out", "out_init"])
def test_gru(out: str) -> None:
    _, a = load("gru_torch")
    params: dict[str, Any] = {
        part: {"kernel": a[f"param/weight_{ab}_l0"].T, "bias": a[f"param/bias_{ab}_l0"]}
        for part, ab in (("input", "ih"), ("hidden", "hh"))
    }
    for i, xs in enumerate(a["in/x"]):
        h, ys = gru(params, xs, state=a["init/h0"][i] if out == "out_init" else None)
        close(ys, a[f"{out}/y"][i])
        close(h, a[f"{out}/h"][i])


@pytest.mark.parametrize("out", ["out", "out_init"])
def test_lstm(out: str) -> None:
    _, a = load("lstm_torch")
    params: dict[str, Any] = {
        part: {"kernel": a[f"param/weight_{ab}_l0"].T, "bias": a[f"param/bias_{ab}_l0"]}
        for part, ab in (("input", "ih"), ("hidden", "hh"))
    }
    for i, xs in enumerate(a["in/x"]):
        state = (a["init/h0"][i], a["init/c0"][i]) if out == "out_init" else None
        (h, c), ys = lstm(params, xs, state=state)
        close(ys, a[f"{out}/y"][i])
        close(h, a[f"{out}/h"][i])
        close(c, a[f"{out}/c"][i])


@pytest.mark.parametrize("out", ["out", "out_init"])
def test_lru(out: str) -> None:
    _, a = load("lru")
    params = {name: a[f"param/{name}"] for name in ("nu_log", "theta_log", "gamma_log")}
    for name in ("B_re", "B_im", "C_re", "C_im"):  # golden kernels are (out, in)
        params[name.lower()] = a[f"param/{name}"].T
    params["d"] = a["param/Dskip"]
    start = a["init/x0_re"] + 1j * a["init/x0_im"]
    for i, xs in enumerate(a["in/u"]):
        h, ys = lru(params, xs, state=start[i] if out == "out_init" else None)
        close(ys, a[f"{out}/y"][i])
        close(h, a[f"{out}/x"][i])


@pytest.mark.parametrize("out", ["out", "out_init"])
def test_linear_attention(out: str) -> None:
    _, a = load("linear_attn_elu1_norm")
    params, xs = through(a)
    for i, x in enumerate(xs):
        state = (a["init/S0"][i], a["init/z0"][i]) if out == "out_init" else None
        (S, z), ys = linear_attention(params, x, state=state, heads=2)
        close(ys[:, : a["in/v"][0, 0].size], a[f"{out}/o"][i].reshape(len(x), -1))
        close(S, a[f"{out}/S"][i])
        close(z, a[f"{out}/z"][i])


@pytest.mark.parametrize("name", ["delta_rule", "gated_delta_rule"])
@pytest.mark.parametrize("out", ["out", "out_init"])
def test_delta_rule(name: str, out: str) -> None:
    _, a = load(name)
    g = a.get("in/g", np.zeros_like(a["in/beta"]))
    for i, start in enumerate(a["init/S0"]):
        S = start if out == "out_init" else np.zeros_like(start)
        for t, o in enumerate(a[f"{out}/o"][i]):
            q, k, v, beta = (a[f"in/{n}"][i, t] for n in ("q", "k", "v", "beta"))
            S, got = delta_rule_step(S, q, k, v, beta, g[i, t])
            close(got, o)
        close(S, a[f"{out}/S"][i])


def test_gated_delta_net() -> None:
    """The Qwen3-Next layer: its 2 key heads serve 2 value heads each, so they are written twice."""
    _, a = load("hf_qwen3next_gated_deltanet")
    kh, r, K, V = 2, 2, 4, 3
    heads, width = kh * r, a["in/x"].shape[-1]

    def parts(kernel: np.ndarray, *sizes: int) -> list[np.ndarray]:
        """(width, kh * sum(sizes)) -> for each size (width, kh, size)."""
        cuts = np.cumsum(sizes)[:-1]
        return np.split(kernel.reshape(len(kernel), kh, -1), cuts, axis=-1)

    def kernel(part: np.ndarray, repeats: int = 1) -> dict[str, np.ndarray]:
        return {"kernel": np.repeat(part, repeats, axis=1).reshape(len(part), -1)}

    q, k, v, z = parts(a["param/in_proj_qkvz.weight"].T, K, K, r * V, r * V)
    b, decay = parts(a["param/in_proj_ba.weight"].T, r, r)
    conv = np.split(a["param/conv1d.weight"][:, 0, :].T, [kh * K, 2 * kh * K], axis=1)
    qc, kc, vc = (taps.reshape(len(taps), kh, -1) for taps in conv)
    params: dict[str, Any] = {
        "query": kernel(q, r), "key": kernel(k, r), "value": kernel(v), "gate": kernel(z),
        "beta": kernel(b), "decay": kernel(decay),
        "query_conv": kernel(qc, r), "key_conv": kernel(kc, r), "value_conv": kernel(vc),
        "A_log": a["param/A_log"], "dt_bias": a["param/dt_bias"],
        "norm": {"scale": a["param/norm.weight"]},
        "output": {"kernel": a["param/out_proj.weight"].T},
    }  # fmt: skip
    assert params["query"]["kernel"].shape == (width, heads * K)
    for xs, ys in zip(a["in/x"], a["out/y"], strict=True):
        close(gated_delta_net(params, xs, heads=heads)[1], ys)


@pytest.mark.parametrize(
    ("name", "window", "position"),
    [
        ("attn_softmax_causal", 37, None),
        ("attn_softmax_alibi", 37, "alibi"),
        ("attn_softmax_rope_halfsplit", 37, "rope"),
        ("attn_softmax_rope_interleaved", 37, "rope"),
        ("attn_softmax_swa8", 8, None),
        ("attn_softmax_alibi_swa8", 8, "alibi"),
        ("attn_softmax_rope_interleaved_swa8", 8, "rope"),
    ],
)
def test_attention(name: str, window: int, position: str | None) -> None:
    _, a = load(name)
    # The pairs (2j, 2j+1) of the interleaved form become the pairs (j, j+K/2) of the half-split.
    order = [0, 2, 4, 6, 1, 3, 5, 7] if "interleaved" in name else None
    params, xs = through(a, order)
    for i, x in enumerate(xs):
        _, ys = attention(params, x, heads=2, window=window, position=position)
        close(ys[:, : a["in/v"][0, 0].size], a["out/o"][i].reshape(len(x), -1))


def test_residual_stack_by_hand() -> None:
    """Width 2 and one step at a time: every number below is worked out from the equations."""
    one = np.ones(2)
    params: dict[str, Any] = {
        "encoder": {"kernel": np.array([[1.0, 2.0]]), "bias": np.array([0.0, 1.0])},
        "position": {"embedding": np.array([[0.0, 0.0], [1.0, 0.0]])},
        "layer_0": {
            "norm": {"scale": one},
            "model": {"factor": np.array(3.0)},
            "mlp_norm": {"scale": np.array([1.0, 2.0])},
            "mlp": {
                "gate": {"kernel": np.array([[1.0], [0.0]])},
                "up": {"kernel": np.array([[0.0], [1.0]])},
                "down": {"kernel": np.array([[1.0, 0.0]])},
            },
        },
        "norm": {"scale": np.array([1.0, 0.5])},
        "head": {"kernel": np.array([[1.0], [-1.0]]), "bias": np.array([0.25])},
    }
    expected = []
    for a, b in [(3.0, 7.0), (4.0, 7.0), (4.0, 7.0), (3.0, 7.0)]:  # x = 3 with its position added
        rms = ((a * a + b * b) / 2 + 1e-6) ** 0.5
        a, b = a + 3 * a / rms, b + 3 * b / rms
        rms = ((a * a + b * b) / 2 + 1e-6) ** 0.5
        a = a + (a / rms) / (1 + np.exp(-a / rms)) * (2 * b / rms)
        rms = ((a * a + b * b) / 2 + 1e-6) ** 0.5
        expected.append([a / rms - 0.5 * b / rms + 0.25])
    starts = np.array([False, False, False, True])

    def inner(p: Any, hs: Any, starts: Any) -> Any:
        return p["factor"] * hs

    steps, ys = residual_stack(params, np.full((4, 1), 3.0), starts, inner=inner)
    assert steps == 1
    close(ys, np.array(expected))


HEADS = kernels(query=(5, 8), key=(5, 8), value=(5, 6), output=(6, 5))
DELTA = {
    **HEADS,
    **kernels(gate=(5, 6), beta=(5, 2), decay=(5, 2)),
    **kernels(query_conv=(4, 8), key_conv=(4, 8), value_conv=(4, 6)),
    "A_log": np.zeros(2),
    "dt_bias": -np.ones(2),
    "norm": {"scale": np.array([1.0, 2.0, 0.5])},
}
LRU = {name: normal(3, i) for i, name in enumerate(("nu_log", "theta_log", "gamma_log"))}
LRU |= {"b_re": normal((5, 3), 1), "b_im": normal((5, 3), 2), "d": normal(5)}
LRU |= {"c_re": normal((3, 5), 1), "c_im": normal((3, 5), 2)}
GRU = kernels(input=(5, 9), hidden=(3, 9))
GRU = {part: {**GRU[part], "bias": np.ones(9)} for part in GRU}
LAYER = {
    "norm": {"scale": np.ones(5)},
    "model": {"gru": GRU, **kernels(output=(3, 5))},
    "mlp_norm": {"scale": np.ones(5)},
    "mlp": kernels(gate=(5, 7), up=(5, 7), down=(7, 5)),
}
STACK = {
    "encoder": {"kernel": np.eye(5), "bias": np.zeros(5)},
    "position": {"embedding": np.arange(10.0).reshape(2, 5)},
    "layer_0": LAYER,
    "layer_1": LAYER,
    "norm": {"scale": np.ones(5)},
    "head": {"kernel": normal((5, 4)), "bias": np.zeros(4)},
}


def gru_inner(params: Any, xs: Any, starts: Any) -> Any:
    return gru(params["gru"], xs, starts)[1] @ params["output"]["kernel"]


CASES: dict[str, tuple[Callable[..., tuple[Any, Any]], Any]] = {
    "lru": (lru, LRU),
    "gru": (gru, GRU),
    "linear_attention": (partial(linear_attention, heads=2), HEADS),
    "gated_delta_net": (partial(gated_delta_net, heads=2), DELTA),
    "gated_delta_net_2": (partial(gated_delta_net, heads=2, negative_eigenvalues=True), DELTA),
    "attention": (partial(attention, heads=2, window=4), HEADS),
    "attention_rope": (partial(attention, heads=2, window=4, position="rope"), HEADS),
    "attention_alibi": (partial(attention, heads=2, window=4, position="alibi"), HEADS),
    "residual_stack": (partial(residual_stack, inner=gru_inner), STACK),
}


@pytest.mark.parametrize("name", CASES)
def test_starts_and_streams(name: str) -> None:
    """Sequences packed with starts equal the sequences run apart; a run can be cut anywhere."""
    run, params = CASES[name]
    xs = np.random.default_rng(2).standard_normal((13, 5))
    starts = np.isin(np.arange(13), [4, 5, 10])
    _, ys = run(params, xs, starts)
    apart = np.concatenate([run(params, part)[1] for part in np.split(xs, [4, 5, 10])])
    close(ys, apart)
    if name == "residual_stack":  # the state of `inner` is not part of the stack's
        return
    for t in range(14):
        state, first = run(params, xs[:t], starts[:t])
        _, second = run(params, xs[t:], starts[t:], state)
        close(np.concatenate([first, second]), ys)
