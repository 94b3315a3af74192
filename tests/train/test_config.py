"""Configurations: their JSON, and what they refuse."""

import json
from dataclasses import replace

import pytest

import memcore
from memcore import tasks
from memcore.tasks import Digits
from memcore.train import network
from memcore.train.commands.compare.options import parameters
from memcore.train.objective.config import Config, OptimizerOptions
from memcore.train.runs.files import beside, read_json, write_json
from memcore.train.runs.folder import RunFolder, difference


def test_json_and_back(config):
    values = json.loads(json.dumps(config.to_json()))
    assert Config.from_json(values) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps is 0, expected 1 or more"),
        ({"batch_size": 0}, "batch_size is 0, expected 1 or more"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
        ({"seed": 2**32}, "seed is 4294967296, expected 0 to 4294967295, a number of 32 bits"),
        ({"validate_every": 0}, "validate_every is 0, expected 1 or more"),
        ({"task": Digits()}, "model.in_features is 3, expected 1, as of the task digits"),
    ],
)
def test_what_makes_no_sense_is_refused(config, change, message):
    with pytest.raises(ValueError, match=message):
        replace(config, **change)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0, expected more than 0"),
        ({"clip": -1.0}, "clip is -1.0, expected more than 0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1, expected 0 or more"),
        ({"recurrence_rate": float("nan")}, "recurrence_rate is nan, expected 0 or more"),
        ({"learning_rate": float("inf")}, "learning_rate is inf, expected a finite number"),
        ({"noise": float("inf")}, "noise is inf, expected a finite number"),
        ({"warmup": 1.5}, "warmup is 1.5, expected a part of the steps"),
    ],
)
def test_optimizer_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        OptimizerOptions(**options)


def test_a_broken_configuration_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        RunFolder(tmp_path).read_config()
    for content in ("{}", "[]", "3"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=r"config\.json is not the configuration of a run"):
            RunFolder(tmp_path).read_config()


def test_the_first_difference_in_words():
    assert difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "a.b is 1 there, 2 here"
    assert difference({"a": 1}, {"a": 1, "c": "x"}) == "c is None there, 'x' here"
    assert difference([], {}) == "all is [] there, {} here"


def test_files_are_whole_or_not_there(tmp_path):
    path = tmp_path / "values.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), beside(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["values.json"]


def test_positions_are_those_of_one_example_and_at_most_1024():
    def stack(task):
        return network(task, memcore.GRU(4, hidden_size=2), layers=1)

    assert stack(Digits()).max_length == stack(tasks.make("digits", pack=50)).max_length == 64
    long = [stack(tasks.make("mnist_math", images="digits", count=n)) for n in (100, 10_000)]
    assert [model.max_length for model in long] == [1_024, 1_024]
    assert parameters(long[0]) == parameters(long[1]) < 2 * 1_024 * 4


def test_a_run_of_an_older_version_is_still_this_run(config, tmp_path):
    """Its file lacks the options that have come since; it need not know the task by its name."""
    folder = RunFolder(tmp_path / "run")
    folder.claim(config)
    values = read_json(folder.config)
    for name in ("monitor", "init"):
        del values[name]
    for name in ("optimizer", "schedule", "accumulate"):
        del values["optimizer"][name]
    write_json(folder.config, values)
    folder.claim(config)
    assert folder.read_config() == config
    with pytest.raises(FileExistsError, match="seed is 0 there, 1 here"):
        folder.claim(replace(config, seed=1))


def test_a_run_before_its_model_got_a_field_is_still_this_run(config, tmp_path):
    """As those of GRUs before they had recurrent dropout."""
    config = replace(config, model=network(config.task, memcore.GRU(4), layers=1))
    folder = RunFolder(tmp_path / "run")
    folder.claim(config)
    values = read_json(folder.config)
    del values["model"]["model"]["recurrent_dropout"]
    write_json(folder.config, values)
    folder.claim(config)
    values["model"]["model"]["recurrent_dropout"] = 0.5
    write_json(folder.config, values)
    with pytest.raises(FileExistsError, match="recurrent_dropout is 0.5 there, 0.0 here"):
        folder.claim(config)
