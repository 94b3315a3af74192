"""Runs that begin with another: from its configuration, its parameters, or further; and sweeps."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import memcore
from memcore.cli import main
from memcore.train import Config, run
from memcore.train.commands.parse import parse
from memcore.train.runs.folder import RunFolder
from memcore.train.runs.loop import Training
from train.small import assert_same, lines

pytestmark = [pytest.mark.backend("jax"), pytest.mark.requires("tyro", "optax", "grain", "orbax")]


@pytest.fixture
def file(config, tmp_path):
    """The small configuration as a file."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.to_json()))
    return path


def small(*options: str) -> list[str]:
    return [
        *("train", "--task", "repeat_first", "--task-options.length", "8", "--model", "gru"),
        *("--task-options.episodes", "2", "--width", "8", "--layers", "1", "--steps", "3"),
        *("--evaluate-rows", "32", *options),
    ]


def test_a_configuration_from_a_file_is_that_configuration(config, file):
    assert parse(["--config", str(file)]).config == config


def test_options_change_the_configuration_of_a_file(config, file):
    def changed(*options: str) -> Config:
        return parse(["--config", str(file), *options]).config

    assert changed("--steps", "9", "--seed", "3") == replace(config, steps=9, seed=3)
    slow = replace(config.optimizer, learning_rate=1e-4)
    assert changed("--learning-rate", "1e-4") == replace(config, optimizer=slow)
    longer = changed("--task-options.length", "16")
    assert longer.task == replace(config.task, length=16)
    assert longer.model == replace(config.model, max_length=16)
    wide = changed("--cell.hidden-size", "4", "--layers", "3").model
    assert wide == replace(config.model, model=memcore.GRU(8, hidden_size=4), layers=3)
    other = changed("--model", "lru").model
    assert other == replace(config.model, model=memcore.LRU(8, state_size=8))
    assert changed("--task", "parity").task.name == "parity"


def test_a_configuration_in_yaml_with_what_matters(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "task: {name: parity, length: 16, pack: 2}\n"
        "model: {kind: residual_stack, in_features: 2, out_features: 2, tokens: true,\n"
        "  model: {kind: lru, in_features: 8, state_size: 4}}\n"
        "optimizer: {learning_rate: 3e-3}\n"
    )
    config = parse(["--config", str(path), "--steps", "5"]).config
    assert config.optimizer.learning_rate == 0.003 and config.steps == 5 and config.task.pack == 2
    assert config.model.model == memcore.LRU(8, state_size=4)


def test_the_configuration_on_the_page_on_titans(tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "coming_from_titans_nnx.md"
    (block,) = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("mac.yaml").write_text(block)
    for name in ("train.txt", "validation.txt"):
        Path(name).write_text("To be, or not to be. " * 100)
    config = parse(["--config", "mac.yaml", "--steps", "5"]).config
    assert config.steps == 5 and isinstance(config.model.model, memcore.TitansMAC)
    task, model = config.task, config.model
    assert (task.in_features, task.out_features) == (model.in_features, model.out_features)


def test_models_that_options_cannot_say_are_kept(config, tmp_path):
    both = (memcore.GRU(8, hidden_size=8), memcore.LRU(8, state_size=8))
    config = replace(config, model=replace(config.model, model=both, layers=2))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.to_json()))
    assert parse(["--config", str(path)]).config == config
    assert parse(["--config", str(path), "--steps", "9"]).config == replace(config, steps=9)
    for named in (
        ["--model", "lru"],
        ["--model=lru"],
    ):  # though it is what is taken where none is named
        model = parse(["--config", str(path), *named]).config.model
        assert {type(m) for m in model.models} == {memcore.LRU}


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "run.yaml is not YAML"), ("a: 1", "run.yaml is not the configuration of a run")],
)
def test_a_file_that_is_no_configuration(tmp_path, capsys, content, message):
    (tmp_path / "run.yaml").write_text(content)
    assert main(["train", "--config", str(tmp_path / "run.yaml")]) == 2
    assert message in capsys.readouterr().err
    assert main(["train", "--config", str(tmp_path / "nowhere.yaml")]) == 2
    assert "nowhere.yaml, expected a file" in capsys.readouterr().err


def test_a_run_goes_further(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(small("--out", str(folder))) == 0
    before = lines(folder)
    assert main(["train", "--resume", str(folder), "--steps", "5"]) == 0
    assert f"resuming {folder} after step 3" in capsys.readouterr().out
    assert json.loads((folder / "results.json").read_text())["steps"] == 5
    assert lines(folder)[: len(before)] == before and lines(folder)[-1]["step"] == 5
    assert main(["train", "--resume", str(folder), "--steps", "4"]) == 2
    assert "steps is 4, expected more than the 5" in capsys.readouterr().err


def test_a_run_begins_with_the_parameters_of_another(config, tmp_path, console, stop_after):
    first, second = tmp_path / "first", tmp_path / "second"
    config = replace(config, batch_size=20, evaluate_rows=20)
    run(config, first, console)
    _, params = memcore.load(first / "model.safetensors")
    other = replace(
        config, seed=1, init=str(first), optimizer=replace(config.optimizer, average=0.5)
    )
    training = Training(other, second, console)
    jax.tree.map(np.testing.assert_array_equal, training.learner.params, params)
    stop_after(2)
    assert training.run() is None
    (first / "model.safetensors").rename(tmp_path / "model.safetensors")
    assert run(other, second, console) is not None  # it has begun: the other run is not read again
    with pytest.raises(FileNotFoundError, match="first, expected a finished run"):
        run(other, tmp_path / "third", console)
    (tmp_path / "model.safetensors").rename(first / "model.safetensors")
    run(other, tmp_path / "whole", console)
    assert_same(second, tmp_path / "whole")
    wide = replace(config.model, model=memcore.GRU(8, hidden_size=4))
    with pytest.raises(ValueError, match="expected a model of the same parameters"):
        run(replace(other, model=wide), tmp_path / "fourth", console)
    assert not (tmp_path / "third").exists() and not (tmp_path / "fourth").exists()


def test_every_run_has_a_folder_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in ("1", "2"):
        assert main(small("--steps", "1")) == 0
        assert f"runs/repeat_first-gru-core-0/{number}\n" in capsys.readouterr().out
    (tmp_path / "runs" / "repeat_first-gru-core-0" / "notes").mkdir()
    assert parse(small("--steps", "1")[1:]).folder.name == "3"


def test_a_sweep_ends_in_a_table(tmp_path, capsys):
    folder = tmp_path / "swept"
    values = ["--sweep", "optimizer.learning-rate=1e-3,3e-3", "seed=0,1", "--out", str(folder)]
    assert main(small(*values)) == 0
    printed = capsys.readouterr().out
    assert "4/4  learning-rate=3e-3, seed 1" in printed and "test accuracy" in printed
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["learning-rate=1e-3", "learning-rate=3e-3"]
    assert [row["seeds"] for row in rows] == ["2", "2"]
    configs = [RunFolder(path).read_config() for path in sorted((folder / "runs").iterdir())]
    found = [(config.optimizer.learning_rate, config.seed) for config in configs]
    assert found == [(0.001, 0), (0.001, 1), (0.003, 0), (0.003, 1)]
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("results.json")}
    assert main(small(*values)) == 0  # finished runs are not run again
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert main(small("--sweep", "seed=0,1", "--out", str(folder))) == 2
    assert "holds another sweep: sweep is" in capsys.readouterr().err


def test_an_interrupted_sweep_goes_on(tmp_path, capsys, stop_after):
    values = small("--sweep", "seed=0,1", "--out", str(tmp_path / "swept"))
    stop_after(5)
    assert main(values) == 130
    assert f"goes on (--out {tmp_path / 'swept'})" in capsys.readouterr().out
    assert main(values) == 0
    [row] = json.loads((tmp_path / "swept" / "results.json").read_text())
    assert (row["model"], row["seeds"]) == ("all", 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("seed", "sweep is 'seed', expected OPTION=VALUE,VALUE"),
        ("seed=0,0", "with each value once"),
        ("model=gru,lru:heads=2", "for lru, expected FIELD=VALUE"),
        ("width=8,0", "width is 0, expected 1 or more"),
    ],
)
def test_a_sweep_is_checked_before_anything_runs(tmp_path, monkeypatch, capsys, values, message):
    monkeypatch.chdir(tmp_path)
    assert main(small("--sweep", values)) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
