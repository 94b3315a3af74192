"""Other programs that follow a run, and what its results say of where they come from."""

import json
import sys
from types import SimpleNamespace

import pytest

import memcore
from memcore.cli import main
from memcore.train import run
from train.small import lines

pytestmark = [pytest.mark.backend("jax"), pytest.mark.requires("tyro", "optax", "grain", "orbax")]


class Heard:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told = []

    def start(self, config, folder, step):
        self.told.append(("start", config["seed"], folder.name, step))

    def log(self, step, split, values):
        self.told.append((step, split, values["loss"]))

    def finish(self, results):
        self.told.append(("finish", results and results["test_metric"]))


def test_a_logger_is_told_what_the_metrics_are(config, tmp_path, console, stop_after):
    heard = Heard()
    stop_after(5)
    assert run(config, tmp_path / "run", console, loggers=[heard]) is None
    assert heard.told[0] == ("start", 0, "run", 0) and heard.told[-1] == ("finish", None)
    before, heard.told = heard.told[1:-1], []
    summary = run(config, tmp_path / "run", console, loggers=[heard])
    assert heard.told[0] == ("start", 0, "run", 5)
    assert heard.told[-1] == ("finish", summary.test_metric)
    told = [*before, *heard.told[1:-1]]
    assert told == [(line["step"], line["split"], line["loss"]) for line in lines(tmp_path / "run")]


def test_results_say_where_they_come_from(config, tmp_path, console):
    run(config, tmp_path / "run", console)
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (found["seed"], found["version"]) == (0, memcore.__version__)
    assert found["config"] == json.loads((tmp_path / "run" / "config.json").read_text())


SMALL = [
    *("train", "--task", "repeat_first", "--task-options.length", "8", "--model", "gru"),
    *("--task-options.episodes", "2", "--width", "8", "--layers", "1", "--steps", "3"),
]


def test_tensorboard_by_an_option(tmp_path, monkeypatch, capsys):
    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_text(self, *values):
            pass

        def add_scalar(self, name, value, step):
            written.append((name, step))

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=SummaryWriter))
    assert main([*SMALL, "--tensorboard", "--out", str(tmp_path / "run")]) == 0
    assert written[0] == (str(tmp_path / "run" / "tensorboard"), 1) and written[-1] == "closed"
    for name in ("train/loss", "train/learning_rate", "validation/accuracy", "validation/seconds"):
        assert (name, 3) in written
    capsys.readouterr()


def test_tensorboard_without_its_package(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert main([*SMALL, "--tensorboard", "--out", str(tmp_path / "run")]) == 2
    assert 'install the extra "tensorboard"' in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
