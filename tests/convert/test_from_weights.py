"""What `from_weights` refuses, and how it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memcore
from memcore.backend import tree_paths
from memcore.convert import SOURCES, from_weights

LSTM = {
    "weight_ih": np.zeros((8, 3), np.float32),
    "weight_hh": np.zeros((8, 2), np.float32),
    "bias_ih": np.zeros(8, np.float32),
    "bias_hh": np.zeros(8, np.float32),
}


def test_a_flat_mapping_and_a_nested_one_are_the_same() -> None:
    nested = {"params": {"B_real": np.ones((2, 3)), "nu_log": np.ones(2), "D": np.ones(3)}}
    nested["params"] |= {n: np.ones((2, 3)) for n in ("B_imag",)}
    nested["params"] |= {n: np.ones((3, 2)) for n in ("C_real", "C_imag")}
    nested["params"] |= {n: np.ones(2) for n in ("theta_log", "gamma_log")}
    flat = {f"params/cell/{name}": leaf for name, leaf in nested["params"].items()}
    for weights in (nested, flat, nested["params"]):
        model, params = from_weights("memorax.LRUCell", weights)
        assert model == memcore.LRU(3, state_size=2)
        assert params["b_re"].shape == (3, 2) and params["b_re"].dtype == np.float64


def test_what_is_left_over_is_named() -> None:
    with pytest.raises(ValueError, match=r"^weights has 'weight_hr', which is left over"):
        from_weights("torch.nn.LSTMCell", {**LSTM, "weight_hr": np.zeros((1, 2))})


@pytest.mark.parametrize("name", LSTM)
def test_what_is_missing_is_named(name: str) -> None:
    weights = {key: leaf for key, leaf in LSTM.items() if key != name}
    with pytest.raises(ValueError, match=f"^weights lacks '{name}' of torch.nn.LSTMCell; it has"):
        from_weights("torch.nn.LSTMCell", weights)


def test_a_shape_that_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"'hidden/kernel' of shape \(2, 7\), expected \(2, 8\)"):
        from_weights("torch.nn.LSTMCell", {**LSTM, "weight_hh": np.zeros((7, 2))})
    with pytest.raises(
        ValueError, match=r"\['bias_ih'\] has shape \(8,\), expected \(7,\) for torch"
    ):
        from_weights("torch.nn.LSTMCell", {**LSTM, "weight_ih": np.zeros((7, 3))})
    with pytest.raises(ValueError, match=r"^weights\['weight_ih'\] has shape \(8,\), expected 2 a"):
        from_weights("torch.nn.LSTMCell", {**LSTM, "weight_ih": np.zeros(8)})


RNN = {
    "weight_ih": np.ones((2, 3)), "weight_hh": np.ones((2, 2)),
    "bias_ih": np.zeros(2), "bias_hh": np.zeros(2),
}  # fmt: skip


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parents[1] / "golden" / f"{name}.npz") as arrays:
        return {n.removeprefix("param/"): arrays[n] for n in arrays.files if n.startswith("param/")}


@pytest.mark.parametrize(
    ("source", "weights", "name", "wrong"),
    [
        ("torch.nn.RNNCell", RNN, "bias_hh", (1,)),
        ("transformers.MambaMixer", "hf_mamba_mixer", "conv1d.weight", None),
        ("memorax.S5Cell", "memorax_s5_zoh", "b", (4, 6, 3)),
        ("memorax.S5Cell", "memorax_s5_zoh", "log_step", (2, 2)),
        ("memorax.SelfAttention", "memorax_self_attention_rope", "query/bias", (4, 2)),
        ("memorax.SelfAttention", "memorax_self_attention_rope", "value/kernel", (2, 4, 8)),
        ("memorax.mLSTMCell", "memorax_mlstm", "causal_conv/kernel", (2, 2, 6)),
        ("memorax.sLSTMCell", "memorax_slstm", "rz/kernel", (3, 3, 2)),
    ],
)
def test_as_many_numbers_in_another_shape_are_named(
    source: str, weights: str | dict[str, np.ndarray], name: str, wrong: tuple[int, ...] | None
) -> None:
    given = golden(weights) if isinstance(weights, str) else dict(weights)
    inner, _, conv = given[name].shape if wrong is None else (0, 0, 0)
    given[name] = np.zeros(wrong or (inner, 2, conv))
    with pytest.raises(ValueError, match=rf"^weights\['{name}'\] has shape .*, expected \("):
        from_weights(source, given)


def test_gates_are_of_one_width() -> None:
    given = {f"{gate}/kernel": np.zeros((3, 4)) for gate in ("ir", "iz", "in")}
    given |= {f"{gate}/bias": np.zeros(4) for gate in ("ir", "iz", "in", "hn")}
    given |= {f"{gate}/kernel": np.zeros((4, 4)) for gate in ("hr", "hz", "hn")}
    from_weights("flax.linen.GRUCell", given)
    given |= {"hr/kernel": np.zeros((4, 3)), "hz/kernel": np.zeros((4, 5))}
    words = (
        r"^weights\['hr/kernel', 'hz/kernel', 'hn/kernel'\] make gates of the shapes "
        r"\[\(4, 3\), \(4, 5\), \(4, 4\)\], expected one for all of flax\.linen\.GRUCell"
    )
    with pytest.raises(ValueError, match=words):
        from_weights("flax.linen.GRUCell", given)


@pytest.mark.parametrize("change", [lambda leaf: leaf[:-1], lambda leaf: leaf[None], np.mean])
@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("memax.GRU", "algebra.algebra.U_r.weight"),
        ("memax.LSTM", "algebra.algebra.W_o.bias"),
        ("memax.MGU", "algebra.algebra.U_h.weight"),
    ],
)
def test_a_gate_of_another_shape_is_named(source: str, name: str, change: Any) -> None:
    given = golden(source.replace(".", "_").lower())
    with pytest.raises(ValueError, match=rf"^weights\[.*'{name}'.*\] .*, expected .* {source}$"):
        from_weights(source, {**given, name: np.asarray(change(given[name]))})


def test_an_empty_matrix_is_named() -> None:
    given = golden("memorax_mlstm")
    given["up_projection/kernel"] = given["up_projection/kernel"][:0]
    words = r"^weights\['up_projection/kernel'\] has shape \(0, 12\), expected 2 axes .* length 0$"
    with pytest.raises(ValueError, match=words):
        from_weights("memorax.mLSTMCell", given)


def test_decays_below_zero_are_refused() -> None:
    given = golden("memax_nmax")
    given["algebra.algebra.decay"] = np.array([1.0, 0.5, -0.25, 0.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"decay'\] has -0\.25, expected numbers of at least 0"):
        from_weights("memax.NMax", given)


def test_parameters_are_copies() -> None:
    given = {name: np.ones_like(leaf) for name, leaf in LSTM.items()}
    params = from_weights("torch.nn.LSTMCell", given)[1]
    for leaf in given.values():
        leaf[:] = 2
        leaf.flags.writeable = False
    again = from_weights("torch.nn.LSTMCell", given)[1]
    for path, leaf in tree_paths(params):
        assert (leaf == 1).all(), path
    for _, leaf in tree_paths(again):
        leaf += 1
    assert all((leaf == 2).all() for leaf in given.values())


def test_the_byte_order_of_another_machine() -> None:
    rng = np.random.default_rng(0)
    given = {name: rng.normal(size=leaf.shape).astype("float32") for name, leaf in LSTM.items()}
    swapped = {name: leaf.astype(leaf.dtype.newbyteorder()) for name, leaf in given.items()}
    (_, params), (_, same) = (from_weights("torch.nn.LSTMCell", w) for w in (swapped, given))
    for path, leaf in tree_paths(params):
        np.testing.assert_array_equal(leaf, dict(tree_paths(same))[path])


def test_masked_weights_are_refused() -> None:
    masked = np.ma.masked_array(LSTM["bias_ih"], [True] + 7 * [False])
    with pytest.raises(TypeError, match=r"^weights\['bias_ih'\] is a masked array, expected"):
        from_weights("torch.nn.LSTMCell", {**LSTM, "bias_ih": masked})


@pytest.mark.parametrize("weights", ["a.safetensors", Path("a.npz"), None, dict, np.zeros(3)])
def test_what_is_no_weights_is_named(weights: Any) -> None:
    with pytest.raises(TypeError, match="^weights is .*, expected arrays by name, or a module"):
        from_weights("torch.nn.GRU", weights)


def test_what_is_no_array_of_numbers_is_named() -> None:
    with pytest.raises(TypeError, match=r"^weights\['bias_ih'\] is 'zero', expected an array"):
        from_weights("torch.nn.LSTMCell", {**LSTM, "bias_ih": "zero"})


def test_settings_are_checked() -> None:
    with pytest.raises(TypeError, match=r"^settings has 'heads', which torch.nn.LSTMCell does not"):
        from_weights("torch.nn.LSTMCell", LSTM, heads=3)
    with pytest.raises(TypeError, match=r"^settings lacks 'window', which the weights of memax\.A"):
        from_weights("memax.Attention", {})


def test_an_unknown_source_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"^source is 'torch.GRU', .* of \['torch.nn.GRU'"):
        from_weights("torch.GRU", {})


REFUSED = {name: source.differs for name, source in SOURCES.items() if source.build is None}


@pytest.mark.parametrize("name", REFUSED)
def test_what_computes_something_else_says_what(name: str) -> None:
    with pytest.raises(ValueError) as error:
        from_weights(name, {"anything": np.zeros(3)})
    text = str(error.value)
    assert text.startswith(f"source is '{name}', which no model here computes: ")
    assert REFUSED[name] in text and len(REFUSED[name]) > 40


def test_half_precision_stays() -> None:
    weights: dict[str, Any] = {name: leaf.astype(np.float16) for name, leaf in LSTM.items()}
    params = from_weights("torch.nn.LSTMCell", weights)[1]
    assert params["input"]["kernel"].dtype == np.float16
