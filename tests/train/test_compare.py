"""`memcore compare`: several models on one task, as a table and a picture."""

import csv
import json
import math
import signal

import jax
import numpy as np
import pytest
from rich.console import Console

import memcore
from memcore.compose import ResidualStack
from memcore.registry import alone
from memcore.tasks import RepeatFirst
from memcore.train.commands.compare.command import compare, enter, main
from memcore.train.commands.compare.options import Entry, Options, entries, parameters, widest
from memcore.train.commands.compare.picture import figure
from memcore.train.commands.compare.results import Outcome, markdown, rows
from memcore.train.runs.loop import Training
from memcore.train.runs.metrics import Metrics
from memcore.train.runs.report import Summary

pytestmark = pytest.mark.backend("jax")

TASK = RepeatFirst(length=8, episodes=2, symbols=3)


def options(tmp_path, **changes) -> Options:
    small = {
        "task": "repeat_first",
        "models": "lru,gru",
        "positions": "none",
        "width": 16,
        "layers": 1,
        "steps": 2,
        "validate_every": 1,
        "out": tmp_path / "compared",
    }
    return Options(**{**small, **changes})


def go(chosen: Options) -> tuple[int, str]:
    console = Console(record=True, width=200, force_terminal=False)
    code = compare(chosen, enter(chosen, TASK, list(entries(chosen, TASK))), console)
    return code, console.export_text()


def summary(**changes) -> Summary:
    values = {
        "task": "t", "model": "m", "framework": "core", "metric": "accuracy", "parameters": 10,
        "state_size": 3, "steps": 5, "train_loss": 1.0, "validation_loss": 1.0,
        "validation_metric": 0.5, "test_loss": 1.0, "test_metric": 0.5, "seconds": 2.0,
        "step_seconds": 0.1,
    }  # fmt: skip
    return Summary(**{**values, **changes})


def test_models_are_trained_and_set_side_by_side(tmp_path):
    code, text = go(options(tmp_path, seeds=2))
    assert code == 0 and "4/4  gru, seed 1" in text
    folder = tmp_path / "compared"
    found = json.loads((folder / "results.json").read_text())
    assert [row["model"] for row in found] == ["lru", "gru"]
    for row in found:
        assert row["seeds"] == 2 and row["parameters"] > 0 and row["state_size"] > 0
        tests = [
            json.loads(
                (folder / "runs" / f"{row['model']}-plain-0.01-{seed}/results.json").read_text()
            )
            for seed in (0, 1)
        ]
        assert row["mean"] == pytest.approx(sum(t["test_metric"] for t in tests) / 2)
    with (folder / "results.csv").open() as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["lru", "gru"]
    assert (folder / "results.md").read_text().count("\n") == 4
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_comparison_of_errors(tmp_path, capsys):
    """On a task of regression: the metric is the mean squared error, as a number, in table and files."""
    folder = tmp_path / "compared"
    small = ["--models", "lru,gru", "--positions", "none", "--layers", "1", "--width", "16"]
    few = ["--steps", "3", "--validate-every", "2", "--batch-size", "4", "--evaluate-rows", "8"]
    task = ["--task", "lorenz63", "--task-options.length", "8"]
    assert main([*task, *small, *few, "--out", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "lorenz63, 3 steps, core" in printed and "test mse" in printed and "%" not in printed
    found = json.loads((folder / "results.json").read_text())
    assert [(row["model"], row["metric"]) for row in found] == [("lru", "mse"), ("gru", "mse")]
    with (folder / "results.csv").open() as file:
        written = list(csv.DictReader(file))
    header, _, *lines = (folder / "results.md").read_text().splitlines()
    assert header.startswith("| model | test mse | validation |")
    for row, cells, line in zip(found, written, lines, strict=True):
        ended = folder / "runs" / f"{row['model']}-plain-0.01-0/results.json"
        assert row["mean"] == json.loads(ended.read_text())["test_metric"] > 0
        assert float(cells["mean"]) == row["mean"] and cells["metric"] == "mse"
        assert line.startswith(f"| {row['model']} | {row['mean']:.4g} | {row['validation']:.4g} |")
        assert f"{row['mean']:.4g}" in printed
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_has_the_curves_of_the_runs(tmp_path):
    """A line for each model, the mean of its seeds at every check, in the band between them."""
    chosen = options(tmp_path, seeds=2, positions="both", models="gru", steps=3)
    assert go(chosen)[0] == 0
    outcomes = [
        Outcome(entry, Summary.read(entry.folder / "results.json"))
        for entry in entries(chosen, TASK)
    ]
    [axes] = figure(outcomes, rows(outcomes), "Curves").axes
    assert axes.get_title() == "Curves" and axes.get_ylabel() == "validation accuracy"
    drawn = {line.get_label(): line for line in axes.lines}
    assert [(name, line.get_linestyle()) for name, line in drawn.items()] == [
        ("gru", "--"),
        ("gru + positions", "-"),
    ]
    for name, band in zip(drawn, axes.collections, strict=True):
        runs = [outcome.entry.folder for outcome in outcomes if outcome.entry.label == name]
        lines = [Metrics(run / "metrics.jsonl", "accuracy").read() for run in runs]
        seeds = np.array(
            [[line["accuracy"] for line in run if line["split"] == "validation"] for run in lines]
        )
        assert seeds.shape == (2, 3)
        np.testing.assert_array_equal(drawn[name].get_xdata(), [1, 2, 3])
        np.testing.assert_allclose(drawn[name].get_ydata(), seeds.mean(0))
        corners = band.get_paths()[0].vertices[:, 1]
        assert (corners.min(), corners.max()) == (seeds.min(), seeds.max())


def test_the_same_command_goes_on(tmp_path, monkeypatch):
    plain, count = Training.run, 0

    def interrupted(self):
        nonlocal count
        count += 1
        self.interrupted = signal.SIGINT
        return None if count == 2 else plain(self)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "run", interrupted)
        code, text = go(options(tmp_path))
        assert code == 130 and "the same command goes on" in text
        assert len(json.loads((tmp_path / "compared/results.json").read_text())) == 1
    before = (tmp_path / "compared/runs/lru-plain-0.01-0/results.json").stat().st_mtime_ns
    assert go(options(tmp_path))[0] == 0
    assert (tmp_path / "compared/runs/lru-plain-0.01-0/results.json").stat().st_mtime_ns == before
    assert len(json.loads((tmp_path / "compared/results.json").read_text())) == 2


def test_a_model_that_fails_is_a_row(tmp_path, monkeypatch):
    def build(self):
        if self.model == "lru":
            raise RuntimeError("it broke\nbadly")
        return plain(self)

    plain = Entry.build
    monkeypatch.setattr(Entry, "build", build)
    code, text = go(options(tmp_path))
    assert code == 0 and "RuntimeError: it broke" in text and "badly" not in text
    lru, gru = json.loads((tmp_path / "compared/results.json").read_text())
    assert lru["reason"] == "RuntimeError: it broke" and lru["mean"] is None
    assert gru["reason"] == "" and gru["mean"] is not None


def test_other_settings_need_another_folder(tmp_path):
    assert go(options(tmp_path, models="lru"))[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "compared").glob("*.*")}
    with pytest.raises(FileExistsError, match="another comparison: steps is 2 there, 3 here"):
        go(options(tmp_path, models="lru", steps=3))
    assert before == {path: path.read_bytes() for path in (tmp_path / "compared").glob("*.*")}
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(FileExistsError, match="exists and holds no comparison"):
        go(options(tmp_path, out=file))


def test_what_is_there_stays_in_the_table(tmp_path):
    go(options(tmp_path, models="lru"))
    go(options(tmp_path, models="gru"))
    found = json.loads((tmp_path / "compared/results.json").read_text())
    assert [row["model"] for row in found] == ["lru", "gru"]


def test_a_rate_that_diverges_is_not_the_best(tmp_path):
    chosen = options(tmp_path, models="gru", learning_rates=(0.1, 0.01))
    wild, tame = entries(chosen, TASK)
    nan = summary(validation_loss=float("nan"))
    (row,) = rows([Outcome(wild, nan), Outcome(tame, summary(validation_loss=9.0))])
    assert row.learning_rate == 0.01
    (row,) = rows([Outcome(wild, nan)])
    assert row.mean is None and row.reason == "the loss is not finite"


def test_nothing_that_ends_well_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(Entry, "build", lambda self: 1 / 0)
    code, text = go(options(tmp_path, models="lru"))
    assert code == 1 and "ZeroDivisionError" in text
    assert not (tmp_path / "compared/curves.png").exists()


def test_a_long_comparison_lets_compiled_programs_go(tmp_path, monkeypatch):
    """Those of all its runs would not fit into one process."""
    monkeypatch.setattr(Entry, "build", lambda self: 1 / 0)
    monkeypatch.setattr("memcore.train.commands.compare.runs.KEPT", 2)
    cleared = []
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(1))
    go(options(tmp_path, models="lru,gru,lstm,mgu,elman"))
    assert len(cleared) == 2


def test_positions_are_rows_of_their_own(tmp_path):
    labels = [entry.label for entry in entries(options(tmp_path, positions="both"), TASK)]
    assert labels == ["lru", "lru + positions", "gru", "gru + positions"]
    for entry in entries(options(tmp_path, positions="both"), TASK):
        assert entry.build().model.position == entry.position


def test_all_models_but_the_stack(tmp_path):
    names = options(tmp_path, models="all").names
    assert set(names) == {name for name, cls in alone().items() if cls is not ResidualStack}


def test_the_best_rate_is_that_of_the_lowest_validation_loss(tmp_path):
    chosen = options(tmp_path, models="gru", learning_rates=(0.1, 0.01), seeds=2)
    losses = {(0.1, 0): 1.0, (0.1, 1): 2.0, (0.01, 0): 1.2, (0.01, 1): 1.4}
    outcomes = [
        Outcome(
            e, summary(validation_loss=losses[e.learning_rate, e.seed], test_metric=0.5 + e.seed)
        )
        for e in entries(chosen, TASK)
    ]
    (row,) = rows(outcomes)
    assert row.learning_rate == 0.01 and row.mean == 1.0
    assert row.spread == pytest.approx(0.5**0.5)
    assert "100.0% ± 70.7%" in markdown([row])


def test_fields_stand_behind_a_name(tmp_path):
    name = "gated_delta_net:negative_eigenvalues=true:heads=2"
    (entry,) = entries(options(tmp_path, models=name), TASK)
    (model,) = entry.build().model.models
    assert model == memcore.GatedDeltaNet(16, heads=2, negative_eigenvalues=True)
    assert ":" not in entry.folder.name
    for wrong in ("gru:colour=2", "gru:hidden_size", "gru:in_features=3"):
        with pytest.raises(
            ValueError, match=r"models has .* for gru, expected FIELD=VALUE with one of"
        ):
            list(entries(options(tmp_path, models=wrong), TASK))


@pytest.mark.parametrize("name", ["gru", "lru"])
def test_equal_budgets(tmp_path, name):
    chosen = options(tmp_path, models=name, parameters=20_000)
    (entry,) = entries(chosen, TASK)
    model = entry.build().model
    assert parameters(model) <= 20_000 < parameters(entry._of_width(model.width + 16))
    drawn = model.init(0)
    assert parameters(model) == sum(leaf.size for leaf in jax.tree.leaves(drawn))
    with pytest.raises(ValueError, match="parameters is 10, expected at least"):
        widest(entry._of_width, 10)


@pytest.mark.parametrize("name", ["seeds", "width", "layers", "steps", "batch_size", "pack"])
def test_counts_are_positive(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name} is 0, expected 1 or more"):
        options(tmp_path, **{name: 0})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "repeat_frist"], "repeat_first"),
        (["--models", "gru,lur"], "'lur', which is not registered; did you mean one of ['lru'"),
        (["--models", "gru,gru"], "expected each name once"),
        (["--task", "smnist", "--task-options.folder", "nowhere"], "nowhere"),
        (["--batch-size", "100000"], "batch_size is 100000, expected 1 to 1293"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_folder_with_the_file_of_something_else(tmp_path, capsys):
    (tmp_path / "compared").mkdir()
    path = tmp_path / "compared" / "comparison.json"
    for content in (
        '{"a": 1}',
        "[]",
        '{"settings": {}, "runs": [1]}',
        '{"settings": {}, "runs": [[1]]}',
    ):
        path.write_text(content)
        assert main(["--models", "lru", "--out", str(path.parent)]) == 2
        assert "comparison.json is not the file of a comparison" in capsys.readouterr().err
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        assert path.read_text() == content


@pytest.mark.parametrize("rate", ["nan", "inf", "0", "-1"])
def test_rates_that_make_no_sense_leave_nothing(rate, tmp_path, capsys):
    folder = tmp_path / "compared"
    with pytest.raises(SystemExit) as caught:
        main(["--models", "lru", "--learning-rates", "0.01", rate, "--out", str(folder)])
    assert caught.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "expected one or more positive finite numbers" in said
    assert not folder.exists()


def test_where_no_loss_is_finite_none_ended_well(tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "run", lambda self: summary(validation_loss=math.nan))
    code, text = go(options(tmp_path))
    assert code == 1 and text.count("the loss is not finite") == 2


def test_every_rate_has_a_folder_of_its_own(tmp_path):
    near = options(tmp_path, models="lru", learning_rates=(0.0012345671, 0.0012345672))
    assert len({entry.folder for entry in entries(near, TASK)}) == 2
