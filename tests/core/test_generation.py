"""Generation: what is drawn, prompts of different lengths, going on, and wrong arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend

MODELS = {
    "gru": memcore.GRU(8),
    "lru": memcore.LRU(8, state_size=4),
    "attention": memcore.Attention(8, heads=2, window=5),
    "delta": memcore.GatedDeltaNet(8, heads=2),
}
PROMPT = np.array([[3, 1, 4, 1, 5], [2, 7, 1, 8, 2]])


def stack(name: str = "gru") -> memcore.Model:
    return memcore.ResidualStack(
        9, model=MODELS[name], layers=1, out_features=9, tokens=True, position="learned"
    )


def params_of(model: memcore.Model, backend: Backend) -> Any:
    return backend.asarray(model.init(3))


def rerun(model: Any, params: Any, prompt: list[int], length: int, backend: Backend) -> list[int]:
    """Greedy tokens, each by reading all that came before."""
    tokens = list(prompt)
    for _ in range(length):
        _, ys = model.apply(params, backend.asarray(np.array(tokens)))
        tokens.append(int(backend.to_numpy(ys)[-1].argmax()))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("name", MODELS)
def test_greedy_tokens_are_those_of_reading_everything_again(name: str, backend: Backend) -> None:
    model, length = stack(name), 4
    params = params_of(model, backend)
    prompt = backend.asarray(PROMPT)
    _, tokens = memcore.generate(model, params, prompt, length=length, temperature=0)
    assert str(tokens.dtype).endswith("int32") and tokens.shape == (2, length)
    want = [rerun(model, params, row.tolist(), length, backend) for row in PROMPT]
    assert backend.to_numpy(tokens).tolist() == want
    _, alone = memcore.generate(model, params, prompt[0, :], length=length, temperature=0)
    assert backend.to_numpy(alone).tolist() == want[0]


def test_pieces_are_one_call(backend: Backend) -> None:
    model = stack()
    params, prompt = params_of(model, backend), backend.asarray(PROMPT)
    how: dict[str, Any] = {"temperature": 0.8, "top_k": 7, "top_p": 0.95, "key": 5}
    end, whole = memcore.generate(model, params, prompt, length=9, **how)
    state, first = memcore.generate(model, params, prompt, length=4, **how)
    state, rest = memcore.generate(
        model, params, first[:, -1:], length=5, state=state, offset=4, **how
    )
    assert backend.to_numpy(whole).tolist() == np.hstack([first, rest]).tolist()
    np.testing.assert_allclose(state["layer_0"], end["layer_0"], rtol=1e-5, atol=1e-6)
    state, _ = model.apply(params, prompt[:, :-1])
    _, again = memcore.generate(model, params, prompt[:, -1:], length=9, state=state, **how)
    assert backend.to_numpy(again).tolist() == backend.to_numpy(whole).tolist()
    _, other = memcore.generate(model, params, prompt, length=9, **{**how, "key": 6})
    assert backend.to_numpy(other).tolist() != backend.to_numpy(whole).tolist()


def test_prompts_of_different_lengths_are_each_as_alone(backend: Backend) -> None:
    model = stack()
    params = params_of(model, backend)
    rows = [[3, 1, 4], [5], [2, 7, 1, 8, 2]]
    for left in (True, False):
        prompt, valid = np.full((3, 5), -100), np.zeros((3, 5), bool)
        for i, row in enumerate(rows):
            place = slice(5 - len(row), 5) if left else slice(len(row))
            prompt[i, place], valid[i, place] = row, True
        _, tokens = memcore.generate(
            model, params, backend.asarray(prompt), valid=backend.asarray(valid),
            length=4, temperature=0,
        )  # fmt: skip
        want = [rerun(model, params, row, 4, backend) for row in rows]
        assert backend.to_numpy(tokens).tolist() == want


def tokens_of(logits: list[float], backend: Backend, **how: Any) -> np.ndarray:
    """4,000 first tokens of a model whose scores are always these."""
    model = memcore.ResidualStack(
        len(logits), model=memcore.GRU(2), layers=1, out_features=len(logits), tokens=True
    )
    params = model.init(0)
    params["head"] = {"kernel": 0 * params["head"]["kernel"], "bias": np.float32(logits)}
    prompt = backend.asarray(np.zeros((4000, 1), int))
    return backend.to_numpy(
        memcore.generate(model, backend.asarray(params), prompt, length=1, **how)[1]
    )[:, 0]


CHANCES = np.array([0.1, 0.4, 0.05, 0.25, 0.2])
LOGITS = np.log(CHANCES).tolist()


@pytest.mark.parametrize(
    ("how", "want"),
    [
        ({}, CHANCES),
        ({"temperature": 0.5}, CHANCES**2),
        ({"temperature": 3}, CHANCES ** (1 / 3)),
        ({"top_k": 5, "top_p": 1.0}, CHANCES),
        ({"top_k": 3}, [0, 0.4, 0, 0.25, 0.2]),
        ({"top_p": 0.5}, [0, 0.4, 0, 0.25, 0]),
        ({"top_p": 0.7}, [0, 0.4, 0, 0.25, 0.2]),
        ({"top_k": 2, "top_p": 0.6}, [0, 1, 0, 0, 0]),  # 0.4 of the 0.65 that two hold
        ({"top_p": 1e-9}, [0, 1, 0, 0, 0]),
        ({"top_k": 1}, [0, 1, 0, 0, 0]),
        ({"temperature": 1e-9}, [0, 1, 0, 0, 0]),
        ({"temperature": 0}, [0, 1, 0, 0, 0]),
        ({"temperature": 1e300}, [1, 1, 1, 1, 1]),
    ],
)
def test_what_is_drawn_has_its_chances(how: Any, want: Any, backend: Backend) -> None:
    found = np.bincount(tokens_of(LOGITS, backend, **how), minlength=5) / 4000
    chances = np.array(want) / np.sum(want)
    assert (found[chances == 0] == 0).all()
    np.testing.assert_allclose(found, chances, atol=0.03)  # four standard deviations


def test_one_of_one_is_the_best(backend: Backend) -> None:
    model = stack()
    params, prompt = params_of(model, backend), backend.asarray(PROMPT)
    _, best = memcore.generate(model, params, prompt, length=6, temperature=0)
    _, tokens = memcore.generate(model, params, prompt, length=6, top_k=1, key=9)
    assert backend.to_numpy(tokens).tolist() == backend.to_numpy(best).tolist()


@pytest.mark.backend("jax")
def test_other_chances_compile_nothing(backend: Backend) -> None:
    from memcore.backend.jax_functions import _compiled

    model = stack()
    params, prompt = params_of(model, backend), backend.asarray(PROMPT)
    memcore.generate(model, params, prompt, length=3, top_k=2)
    before = _compiled._cache_size()
    memcore.generate(model, params, prompt, length=3, top_p=0.3, temperature=0.7, key=8, offset=4)
    assert _compiled._cache_size() == before


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"length": 0}, "length is 0, expected an int of at least 1"),
        ({"length": 2.0}, "length is 2.0, expected an int"),
        ({"offset": -1}, "offset is -1, expected an int of at least 0"),
        (
            {"offset": 2**31 - 2},
            "offset is 2147483646, expected at most 2147483645 before 2 tokens",
        ),
        ({"prompt": PROMPT + 1}, "prompt has the token 9, expected 0 to 8, the model's vocabulary"),
        ({"prompt": PROMPT - 2}, "prompt has the token -1, expected 0 to 8"),
        ({"prompt": PROMPT + 2**40}, "prompt has the token 1099511627779, expected 0 to 8"),
        ({"temperature": -0.1}, "temperature is -0.1, expected a number of at least 0"),
        ({"temperature": float("nan")}, "temperature is nan, expected a number"),
        ({"temperature": True}, "temperature is True, expected a number"),
        ({"top_k": 0}, "top_k is 0, expected None or a positive int"),
        ({"top_p": 0.0}, "top_p is 0.0, expected None or a number above 0"),
        ({"top_p": 1.5}, "top_p is 1.5, expected None or a number above 0"),
        ({"valid": np.ones((2, 4), bool)}, r"valid has shape \(2, 4\), expected \(2, 5\) to match"),
        ({"valid": np.arange(2)[:, None] == [0] * 5}, "valid has a row without a token"),
        ({"key": -1}, "key is the seed -1, expected"),
        ({"key": "x"}, "key is a str, expected"),
        ({"prompt": PROMPT[:, :0]}, r"prompt has shape \(2, 0\), expected at least one token"),
        ({"prompt": PROMPT + 0.5}, "prompt has dtype float64, expected integers"),
        ({"prompt": np.array(3)}, r"prompt has shape \(\), expected \(..., P\)"),
        ({"prompt": None}, "prompt is None"),
        ({"model": memcore.GRU(9)}, "expected one of tokens, whose outputs are scores of the same"),
        ({"model": memcore.GRU}, "expected a memcore.Model"),
    ],
)
@pytest.mark.backend("numpy", "jax")
def test_arguments_that_do_not_fit(how: Any, message: str, backend: Backend) -> None:
    model = stack()
    args = {"model": model, "params": params_of(model, backend), "prompt": PROMPT, "length": 2}
    with pytest.raises((ValueError, TypeError), match=message):
        memcore.generate(**{**args, **how})


def test_padding_of_a_prompt_may_hold_anything(backend: Backend) -> None:
    model = stack()
    params, length = params_of(model, backend), 3
    valid = backend.asarray(np.arange(5) < np.array([[5], [3]]))
    found = []
    for rest in (0, -100, 9):
        prompt = backend.asarray(np.where(np.arange(5) < np.array([[5], [3]]), PROMPT, rest))
        _, tokens = memcore.generate(model, params, prompt, length=length, valid=valid)
        found.append(backend.to_numpy(tokens).tolist())
    assert found[0] == found[1] == found[2]


def test_models_that_cannot_go_on() -> None:
    both = memcore.compose.Bidirectional(memcore.GRU(4))
    model = memcore.ResidualStack(5, model=both, out_features=5, tokens=True)
    with pytest.raises(ValueError, match="expected a causal one: it needs the whole sequence"):
        memcore.generate(model, model.init(0), [1], length=1)
    model = memcore.ResidualStack(5, out_features=4, tokens=True)
    with pytest.raises(ValueError, match="expected one of tokens, whose outputs are scores"):
        memcore.generate(model, model.init(0), [1], length=1)


INFINITE = float("inf")


@pytest.mark.parametrize(
    "logits", [[0.0, float("nan"), 1.0], [0.0, INFINITE, 1.0], [-INFINITE] * 3], ids=str
)
def test_outputs_that_are_no_numbers(logits: list[float], backend: Backend) -> None:
    for how in ({}, {"temperature": 0}, {"top_k": 2}):
        if backend.name == "jax":
            assert (tokens_of(logits, backend, **how) == -1).all()
        else:
            with pytest.raises(ValueError, match="params and state give outputs that are no numb"):
                tokens_of(logits, backend, **how)
