"""Models on the command line: the same words in every command, and checked before anything runs."""

import pytest

import memcore
from memcore.train.commands.bench import main as bench
from memcore.train.commands.compare.command import main as compare
from memcore.train.commands.compare.options import Options
from memcore.train.commands.models import built, chosen, split
from memcore.train.commands.parse import parse

pytestmark = pytest.mark.backend("jax")


def cell(*arguments: str) -> memcore.Model:
    """The model in the stack of `memcore train`."""
    return parse(list(arguments)).config.model.models[0]


def test_fields_stand_behind_a_name():
    wanted = memcore.GatedDeltaNet(16, heads=2, negative_eigenvalues=True)
    for text in ("heads=2,negative_eigenvalues=true", "heads=2:negative-eigenvalues=True"):
        assert built(f"gated_delta_net:{text}", 16) == wanted
        assert cell("--model", f"gated_delta_net:{text}", "--width", "16") == wanted


def test_fields_of_several_models():
    text = "attention:heads=2,window=4, gru,lru:state_size=3"
    assert split(text) == ["attention:heads=2,window=4", "gru", "lru:state_size=3"]
    assert Options(models=text).names == split(text)


def test_an_option_is_more_than_a_field_behind_the_name():
    both = ("--model", "attention:heads=2,window=4", "--cell.window", "8")
    assert cell(*both) == memcore.Attention(64, heads=2, window=8)


@pytest.mark.parametrize("name", ["causal", "input_ndim", "in_features", "hidden"])
def test_class_variables_are_no_options(name):
    fields = "hidden_size, heads, recurrent_dropout, reset"
    with pytest.raises(ValueError, match=f"for gru, expected FIELD=VALUE with one of {fields}$"):
        chosen(f"gru:{name}=3")


@pytest.mark.parametrize("position", ["none", "None"])
def test_none_in_both_spellings(position):
    assert cell("--model", "attention", "--cell.position", position).position is None
    assert cell("--model", "attention", f"--cell.position={position}").position is None
    assert built(f"attention:position={position}", 64).position is None
    assert parse(["--position", position]).config.model.position is None


def test_the_width_is_that_of_the_state_too():
    """As compare always had it."""
    assert cell("--model", "gru", "--width", "32") == memcore.GRU(32, hidden_size=32)
    assert cell("--model", "lru", "--width=32", "--cell.state-size", "8").state_size == 8
    assert built("lstm", 32).hidden_size == 32 and built("lstm:hidden_size=3", 32).hidden_size == 3


WRONG = {
    "a class variable": ("gru:causal=false", "expected FIELD=VALUE with one of hidden_size"),
    "a type": ("gru:hidden_size=many", "hidden_size is 'many', expected"),
    "a value": ("gru:hidden_size=0", "hidden_size is 0"),
    "heads": ("attention:heads=7", "heads is 7"),
    "a name": ("gruu:hidden_size=3", "model is 'gruu'"),
    "a wrapper": ("block", "is 'block', which is made of other models: expected one of"),
    "no name": (" ", "has an empty name, expected one, as lru"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("command", ["train", "compare", "bench"])
def test_a_model_is_checked_before_anything_runs(case, command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, message = WRONG[case]
    if command == "train":
        with pytest.raises(ValueError, match=message):
            parse(["--model", text])
    elif command == "bench":
        assert bench(["--model", text]) == 2 and message in capsys.readouterr().err
    else:
        assert compare(["--models", f"lru,{text}"]) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [bench, compare], ids=["bench", "compare"])
def test_a_ratio_is_of_the_layers_of_one_stack(command, capsys):
    name = "model" if command is bench else "models"
    assert command([f"--{name}", "3:1*lru,gru"]) == 2
    assert f"{name} is '3:1*lru" in (said := capsys.readouterr().err)
    assert "expected one model: numbers before a * are those of the layers of one stack" in said
