"""`memcore evaluate` and `memcore predict`."""

import csv
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import memcore
from memcore import tasks
from memcore.cli import main
from memcore.registry import lookup
from memcore.train import Config, evaluate, make_learner, network, run
from memcore.train.objective.objective import Objective
from memcore.train.runs import trained

pytestmark = [pytest.mark.requires("tyro"), pytest.mark.backend("jax")]

SMALL = {"steps": 3, "batch_size": 16, "evaluate_rows": 40, "validate_every": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on parity, whose model has 12 learned positions."""
    task = tasks.Parity(length=12)
    path = tmp_path_factory.mktemp("runs") / "parity"
    run(Config(task, network(task, lookup("gru")(8, hidden_size=8), layers=1), **SMALL), path)
    return path


def lines(capsys):
    captured = capsys.readouterr()
    return [line.split() for line in captured.out.splitlines()[2:]], captured.err


def expected(folder, task, split="test", rows=40):
    import optax

    model, params = memcore.load(folder / "model.safetensors")
    learner = make_learner("core", model, params, optax.identity(), Objective(task.loss))
    return evaluate(learner, task, split, 16, 0, rows)


def test_the_test_of_the_run_is_repeated(capsys, folder):
    assert main(["evaluate", str(folder)]) == 0
    (found,), error = lines(capsys)
    results = json.loads((folder / "results.json").read_text())
    assert found == ["40", "12", f"{results['test_loss']:.4f}", f"{results['test_metric']:.1%}"]
    assert not error


def test_other_lengths_splits_and_options(capsys, folder):
    assert main(["evaluate", str(folder), "--length", "5", "30", "--split", "validation"]) == 0
    found, error = lines(capsys)
    for line, length in zip(found, (5, 30), strict=True):
        values = expected(folder, tasks.Parity(length=length), "validation")
        assert line == ["40", str(length), f"{values['loss']:.4f}", f"{values['accuracy']:.1%}"]
    assert "memcore evaluate: the model has 12 learned positions, and rows have 30 steps" in error
    assert error.count("\n") == 1
    options = ["--task-options.seed", "3", "--evaluate-rows", "7", "--pack", "2"]
    assert main(["evaluate", str(folder), *options]) == 0
    (line,), error = lines(capsys)
    values = expected(folder, tasks.Packed(tasks.Parity(length=12, seed=3), 2), rows=7)
    assert line[:3] == ["7", "24", f"{values['loss']:.4f}"] and not error


def test_long_rows_are_streamed(capsys, folder, monkeypatch):
    """The same numbers, in segments of at most so many steps."""
    sizes = set()
    plain = tasks.Parity.segments

    def watched(self, split, index, size):
        sizes.add(size)
        return plain(self, split, index, size)

    assert main(["evaluate", str(folder), "--length", "50"]) == 0
    whole = lines(capsys)[0]
    monkeypatch.setattr(tasks.Parity, "segments", watched)
    monkeypatch.setattr(trained, "LONG", 16)
    assert main(["evaluate", str(folder), "--length", "50"]) == 0
    assert lines(capsys)[0] == whole and sizes == {16}


WRONG = {
    "no run": (["nowhere"], "nowhere holds no run: there is no config.json"),
    "an option first": (["--split", "test"], "PATH"),
    "an option of the task": (["RUN", "--length", "0"], "length is 0, expected 1 or more"),
    "a part of the data": (["RUN", "--evaluate-rows", "-1"], "evaluate_rows is -1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_is_named(capsys, folder, case):
    arguments, message = WRONG[case]
    arguments = [str(folder) if argument == "RUN" else argument for argument in arguments]
    try:
        code = main(["evaluate", *arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2 and message in capsys.readouterr().err


def test_rows_without_a_length_and_other_vocabularies(capsys, tmp_path):
    task = tasks.Copy(items=2)
    run(Config(task, network(task, lookup("gru")(8, hidden_size=8), layers=1), **SMALL), tmp_path)
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path), "--length", "9"]) == 2
    error = capsys.readouterr().err
    assert "length is 9, expected none: the rows of copy are as long as" in error
    assert "--task-options.items" in error
    assert main(["evaluate", str(tmp_path), "--task-options.items", "4"]) == 0
    assert main(["evaluate", str(tmp_path), "--task-options.symbols", "9"]) == 2
    assert "model.in_features is 10, expected 11, as of the task copy" in capsys.readouterr().err
    (tmp_path / "model.safetensors").unlink()
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "holds no trained model yet" in capsys.readouterr().err


def test_a_run_on_arrays_is_evaluated_on_a_file(capsys, tmp_path):
    xs = np.random.RandomState(0).normal(size=(60, 6, 2)).astype("float32")
    targets = (xs[..., 0] > 0).astype("int32")
    task = tasks.ArrayTask(xs, targets)
    out = tmp_path / "run"
    model = network(task, lookup("gru")(8, hidden_size=8), layers=1)
    summary = run(Config(task, model, **{**SMALL, "evaluate_rows": 0}), out)
    capsys.readouterr()
    assert main(["evaluate", str(out), "--evaluate-rows", "0"]) == 2
    assert "were in the memory of a program: save them" in capsys.readouterr().err
    np.savez(tmp_path / "x.npz", xs=xs, targets=targets)
    assert main(["evaluate", str(out), "--data", str(tmp_path / "x.npz")]) == 0
    (line,), _ = lines(capsys)
    assert line[2] == f"{summary.test_loss:.4f}"


def test_predictions_are_the_models_outputs(capsys, folder, tmp_path):
    xs = np.random.RandomState(0).randint(2, size=(3, 10))
    np.save(tmp_path / "x.npy", xs)
    model, params = memcore.load(folder / "model.safetensors")
    _, ys = model.apply(jax.tree.map(jax.numpy.asarray, params), xs.astype("int32"))
    several = ["--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / "y.npy")]
    assert main(["predict", str(folder), *several]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), ys, rtol=1e-5, atol=1e-6)
    np.save(tmp_path / "x.npy", xs[0])
    assert main(["predict", str(folder), *several]) == 0
    assert np.load(tmp_path / "y.npy").shape == (10, 2)
    (tmp_path / "x.csv").write_text("bit\n" + "\n".join(map(str, xs[0].tolist())) + "\n")
    capsys.readouterr()
    assert main(["predict", str(folder), "--input", str(tmp_path / "x.csv")]) == 0
    found = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [int(line["class"]) for line in found] == np.argmax(ys[0], -1).tolist()
    outputs = [[float(line["output_0"]), float(line["output_1"])] for line in found]
    np.testing.assert_allclose(outputs, ys[0], rtol=1e-4, atol=1e-5)
    (tmp_path / "y.csv").write_text("\ufeff" + "\n".join(map(str, xs[0].tolist())), "utf-8")
    assert main(["predict", str(folder), "--input", str(tmp_path / "y.csv")]) == 0
    assert list(csv.DictReader(capsys.readouterr().out.splitlines())) == found


def test_long_inputs_are_streamed_and_positions_are_said(capsys, folder, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.random.RandomState(1).randint(2, size=50))
    arguments = ["predict", str(folder), "--input", str(tmp_path / "x.npy")]
    found = []
    for long in (4_096, 16):
        monkeypatch.setattr(trained, "LONG", long)
        assert main([*arguments, "--output", str(tmp_path / f"{long}.npy")]) == 0
        found.append(np.load(tmp_path / f"{long}.npy"))
        assert "12 learned positions, and rows have 50 steps" in capsys.readouterr().err
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


def save(array):
    return lambda path: np.save(path, array)


def several(path):
    with path.open("wb") as file:
        np.savez(file, np.zeros(2), np.zeros(2))


INPUTS = {
    "ending": ("x.txt", None, "input is 'x.txt', expected a file that ends in .npy or .csv"),
    "absent": ("x.npy", None, "input is x.npy, where there is no file"),
    "tokens": (
        "x.npy",
        save(np.array([0, 2])),
        "input x.npy has tokens from 0 to 2, expected 0 to 1",
    ),
    "floats": ("x.npy", save(np.array([0.5])), "holds float64 of shape (1,), expected tokens"),
    "complex": ("x.npy", save(np.array([1j])), "holds complex128 of shape (1,), expected tokens"),
    "nothing": ("x.npy", lambda path: path.touch(), "x.npy is not a file .npy of an array: "),
    "no array": ("x.npy", lambda path: path.write_text("no"), "x.npy is not a file .npy of an arr"),
    "arrays": ("x.npy", several, "x.npy is not a file .npy of an array: it holds several"),
    "no text": ("x.csv", lambda path: path.write_bytes(b"\xff"), "x.csv is not a table in UTF-8: "),
    "a cell": (
        "x.csv",
        lambda path: path.write_text("1" * 2**18),
        "x.csv is not a table in UTF-8: field larger than",
    ),
    "axes": ("x.npy", save(np.zeros((1, 1, 1), int)), "of shape (1, 1, 1), expected tokens"),
    "words": (
        "x.csv",
        lambda path: path.write_text("a\n1\nb\n"),
        "has 'b' after 1 lines of numbers",
    ),
}


@pytest.mark.parametrize("case", INPUTS)
def test_inputs_that_make_no_sense_are_named(capsys, folder, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    name, make, message = INPUTS[case]
    if make:
        make(tmp_path / name)
    assert main(["predict", str(folder), "--input", name]) == 2
    error = capsys.readouterr().err
    assert error.startswith("memcore predict: ") and message in error and error.count("\n") == 1
    np.save("y.npy", np.array([0, 1]))
    assert main(["predict", str(folder), "--input", "y.npy", "--output", "y.txt"]) == 2
    assert "output is 'y.txt', expected a file that ends in .npy or .csv" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["evaluate", "RUN"], ["predict", "RUN", "--input", "x.npy"]])
def test_a_reader_that_has_enough(folder, tmp_path, command):
    """`memcore evaluate RUN | head`: the pipe's other end is closed before anything is written."""
    np.save(tmp_path / "x.npy", np.zeros(10, int))
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [str(folder) if argument == "RUN" else argument for argument in command]
    code = f"import sys; from memcore.cli import main; sys.exit(main({arguments!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
