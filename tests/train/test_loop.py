"""The loop: what a run leaves behind, and that an interrupted one ends like any other."""

import io
import signal
from dataclasses import replace

import jax
import numpy as np
import pytest
from rich.console import Console

import memcore
from memcore.train import run
from memcore.train.runs.checkpoints import Checkpoints
from memcore.train.runs.report import Summary
from train.small import assert_same, lines, small_config

pytestmark = [pytest.mark.backend("jax"), pytest.mark.requires("optax", "grain", "orbax")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert run(small_config(), folder, Console(file=io.StringIO())) is not None
    return folder


def test_a_run_leaves_its_files(config, tmp_path, console):
    summary = run(config, tmp_path / "run", console)
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == [
        "checkpoints",
        "config.json",
        "curves.png",
        "metrics.jsonl",
        "model.safetensors",
        "results.json",
    ]
    assert Summary.read(tmp_path / "run" / "results.json") == summary
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    steps = [(line["step"], line["split"]) for line in lines(tmp_path / "run")]
    train = [(step, "train") for step in range(1, 7)]
    assert steps == [*train[:4], (4, "validation"), *train[4:], (6, "validation")]
    assert "1 x gru on repeat_first" in console.export_text()


def test_the_saved_model_has_the_test_accuracy(config, tmp_path, console):
    summary = run(config, tmp_path / "run", console)
    model, params = memcore.load(tmp_path / "run" / "model.safetensors")
    assert model == config.model
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == summary.parameters
    source = config.task.source("test")
    rows = [source[index] for index in range(len(source))]
    batch = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    ys = model.apply(params, batch["xs"], starts=batch["starts"])[1]
    right = (ys.argmax(-1) == batch["targets"])[batch["weights"] > 0]
    assert right.mean() == pytest.approx(summary.test_metric, abs=2e-3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [2, 4, 5])
def test_an_interrupted_run_goes_on_exactly(
    config, whole, tmp_path, console, stop_after, monkeypatch, step, number
):
    stop_after(step, number)
    assert run(config, tmp_path / "run", console) is None
    monkeypatch.undo()
    assert f"interrupted after step {step}" in console.export_text(clear=False)
    assert f"memcore train --resume {tmp_path / 'run'}" in console.export_text(clear=False)
    assert not (tmp_path / "run" / "results.json").exists()

    assert run(config, tmp_path / "run", console) is not None
    assert f"after step {step}" in console.export_text()
    assert_same(whole, tmp_path / "run")


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    config, whole, tmp_path, console, monkeypatch
):
    plain = Checkpoints.save

    def killed(self, *others):
        plain(self, *others)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "run", console)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "split": "train", "loss": 1.0, "accuracy": 0.0}\n{"step": 6, "sp')
    run(config, tmp_path / "run", console)
    assert_same(whole, tmp_path / "run")


def test_a_run_killed_before_its_first_checkpoint_begins_again(config, whole, tmp_path, console):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_bytes((whole / "config.json").read_bytes())
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 1, "split": "train"}\n')
    run(config, tmp_path / "run", console)
    assert_same(whole, tmp_path / "run")


def test_a_run_killed_after_its_last_step_knows_its_pace(
    config, whole, tmp_path, console, monkeypatch
):
    def killed(*results):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("memcore.train.runs.sitting.finish", killed)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "run", console)
    assert run(config, tmp_path / "run", console).step_seconds > 0
    assert_same(whole, tmp_path / "run")


def test_a_finished_run_is_not_trained_again(config, tmp_path, console, monkeypatch):
    summary = run(config, tmp_path / "run", console)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    assert run(config, tmp_path / "run", console) == summary
    assert "holds this run, finished" in console.export_text()
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_another_run_is_not_written_over(config, tmp_path, console):
    run(config, tmp_path / "run", console)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    with pytest.raises(FileExistsError, match="holds another run: seed is 0 there, 1 here; choose"):
        run(replace(config, seed=1), tmp_path / "run", console)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_a_folder_of_other_things_is_left_alone(config, tmp_path, console):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and holds no run"):
        run(config, tmp_path, console)
    with pytest.raises(FileExistsError, match="exists and holds no run"):
        run(config, tmp_path / "notes.txt", console)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_nothing_is_left_where_the_data_does_not_fit(config, tmp_path, console):
    with pytest.raises(ValueError, match="batch_size is 65537, expected 1 to 65536"):
        run(replace(config, batch_size=65_537), tmp_path / "run", console)
    assert not (tmp_path / "run").exists()


def test_signal_handlers_are_put_back(config, tmp_path, console, stop_after):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stop_after(1)
    run(config, tmp_path / "run", console)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_interrupt_ends_at_once(config, tmp_path, console, stop_after):
    stop_after(2)
    stop_after(2)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", console)


def test_training_in_a_thread_leaves_signals_alone(config, tmp_path, console):
    import threading

    results = []
    thread = threading.Thread(target=lambda: results.append(run(config, tmp_path / "r", console)))
    thread.start()
    thread.join()
    assert results[0].steps == 6
