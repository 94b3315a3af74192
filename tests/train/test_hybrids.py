"""Hybrid stacks on the command line."""

import json

import pytest

import memcore
from memcore.cli import main
from memcore.train.commands.hybrids import hybrid
from memcore.train.commands.parse import parse

pytestmark = pytest.mark.requires("tyro", "sklearn")


def test_layers_in_turn_and_by_a_ratio():
    gru = memcore.GRU(8, hidden_size=8)
    two = (gru, memcore.Attention(8, window=32, heads=2))
    assert hybrid("gru,attention:window=32,heads=2", 8) == two
    assert hybrid("gru, attention:window=32, heads=2", 8) == two
    lru = memcore.LRU(8, state_size=8)
    assert hybrid("5*lru,attention", 8) == 5 * (lru,) + (memcore.Attention(8),)
    assert hybrid("5:1*lru,attention", 8) == hybrid("5*lru,attention", 8)
    two_one = "2:1*lru:state_size=3,attention:window=4,heads=2"
    assert hybrid(two_one, 8) == hybrid("2*lru:state_size=3,attention:window=4,heads=2", 8)
    three = hybrid("attention:position=none,window=4,gru:hidden-size=3,2*lru", 8)
    assert three[0] == memcore.Attention(8, position=None, window=4)
    assert three[1:] == (memcore.GRU(8, hidden_size=3), lru, lru)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gru,atention", "model is 'atention', which is not registered"),
        ("gru,", "model has an empty name, expected one, as lru"),
        ("0*gru", "model has '0*gru', expected a number above 0 before the *"),
        ("5:1*gru", "ratio is '5:1', expected a number above 0 for each of 1 models"),
        ("5:0*gru,lru", "ratio is '5:0', expected a number above 0 for each of 2 models"),
        ("x*gru", "model has 'x*gru', expected a number above 0"),
        ("lru,gru:causal=false", "model has 'causal=false' for gru, expected FIELD=VALUE"),
    ],
)
def test_what_makes_no_sense_is_named(text, message):
    with pytest.raises(ValueError) as error:
        parse(["--model", text])
    assert str(error.value).startswith(message)


def test_a_hybrid_stack_is_configured():
    plan = parse(["--model", "gru,attention:window=32", "--layers", "4", "--width", "16"])
    stack, folder = plan.config.model, plan.folder
    assert stack.layers == 4 and stack.models == (
        memcore.GRU(16, hidden_size=16),
        memcore.Attention(16, window=32),
    )
    assert folder.parts[1] == "digits-gru+attention+window=32-core-0"
    assert parse(["--model", "5*lru,attention"]).config.model.layers == 6
    assert parse(["--model", "gru:hidden_size=3"]).config.model.layers == 2
    assert parse(["--model", "gru"]).config.model.layers == 2
    with pytest.raises(ValueError, match="layers is 3, expected 6 or more"):
        parse(["--model", "5*lru,attention", "--layers", "3"])


@pytest.mark.backend("jax")
def test_a_hybrid_stack_trains(capsys, tmp_path):
    arguments = ["--model", "gru:hidden_size=8,attention:window=4", "--width", "8", "--steps", "2"]
    small = ["--task", "parity", "--task-options.length", "5", "--evaluate-rows", "4"]
    assert main(["train", *arguments, *small, "--out", str(tmp_path)]) == 0
    assert "2 x gru, attention on parity" in capsys.readouterr().out


@pytest.mark.backend("jax")
def test_a_configuration_of_a_hybrid_stack_is_taken_up(tmp_path):
    plan = parse(["--model", "2*gru,attention:window=4", "--width", "8"])
    path = tmp_path / "config.json"
    path.write_text(json.dumps(plan.config.to_json()))
    same = parse(["--config", str(path), "--steps", "3"]).config
    assert same.model == plan.config.model and same.steps == 3
    other = parse(["--config", str(path), "--model", "gru,3*lru", "--layers", "4"]).config
    assert [type(model).__name__ for model in other.model.models] == ["GRU", "LRU", "LRU", "LRU"]
