"""`memcore bench`: a row for each method."""

import csv
import json

import pytest

import memcore
from memcore.train.commands.bench import Options, cells, main, measure

pytestmark = pytest.mark.backend("jax")


def test_every_method_has_a_row():
    model, options = memcore.LRU(3, state_size=4), Options(length=5, batch_size=2, width=3)
    rows = list(measure(model, options))
    assert [row.method for row in rows] == ["auto", *model.methods]
    for row in rows:
        assert not row.reason and row.forward > 0 and row.gradient > 0 and row.compile_seconds > 0
        assert all(cells(options, row)[:-1])


def test_a_method_that_fails_is_a_row(monkeypatch):
    def broken(self, *arguments):
        raise RuntimeError("no step")

    monkeypatch.setattr(memcore.GRU, "project", broken)
    rows = list(measure(memcore.GRU(3, hidden_size=2), Options(length=4, batch_size=1, width=3)))
    assert all(row.reason == "RuntimeError: no step" for row in rows)


def test_rows_are_printed_as_they_come_and_written(tmp_path, capsys):
    small = ["--length", "4", "--batch-size", "1", "--width", "4", "--model", "gru"]
    assert main([*small, "--out", str(tmp_path / "timed")]) == 0
    methods = ["auto", *memcore.GRU(4).methods]
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed[: len(methods)]] == methods
    found = json.loads((tmp_path / "timed" / "bench.json").read_text())
    assert [row["method"] for row in found] == methods
    assert all(
        row["model"] == "gru" and row["length"] == 4 and row["gradient"] > 0 for row in found
    )
    with (tmp_path / "timed" / "bench.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["forward"]) for row in rows] == [row["forward"] for row in found]


def test_the_command(capsys):
    small = ["--length", "4", "--batch-size", "1", "--width", "4"]
    assert main(["--model", "attention:heads=2:window=2", *small]) == 0
    printed = capsys.readouterr().out
    assert "attention:heads=2:window=2, B=1 T=4" in printed and "tokens/s" in printed
    assert all(f" {method} " in printed for method in memcore.Attention(4, heads=2).methods)
    assert main(["--model", "lur", *small]) == 2
    assert "did you mean one of ['lru'" in capsys.readouterr().err
    assert main(["--model", "gru:colour=2", *small]) == 2
    assert "for gru, expected FIELD=VALUE" in capsys.readouterr().err


def test_the_folder_is_looked_at_before_anything_is_timed(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--model", "gru", "--out", str(tmp_path / "file")]) == 2
    assert f"out is {tmp_path / 'file'}, expected a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == ""
