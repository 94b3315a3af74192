"""`memcore bench`: a row for each method."""

import pytest

import memcore
from memcore.train.commands.bench import Options, cells, main, measure

pytestmark = pytest.mark.backend("jax")


def test_every_method_has_a_row():
    model, options = memcore.LRU(3, state_size=4), Options(length=5, batch_size=2, width=3)
    rows = measure(model, options)
    assert [row.method for row in rows] == ["auto", *model.methods]
    for row in rows:
        assert not row.reason and row.forward > 0 and row.gradient > 0 and row.compile_seconds > 0
        assert all(cells(options, row)[:-1])


def test_a_method_that_fails_is_a_row(monkeypatch):
    def broken(self, params, h):
        raise RuntimeError("no step")

    monkeypatch.setattr(memcore.GRU, "project", broken)
    rows = measure(memcore.GRU(3, hidden_size=2), Options(length=4, batch_size=1, width=3))
    assert all(row.reason == "RuntimeError: no step" for row in rows)


def test_the_command(capsys):
    small = ["--length", "4", "--batch-size", "1", "--width", "4"]
    assert main(["--model", "attention:heads=2:window=2", *small]) == 0
    printed = capsys.readouterr().out
    assert "attention:heads=2:window=2, B=1 T=4" in printed and "tokens/s" in printed
    assert all(f" {method} " in printed for method in memcore.Attention(4, heads=2).methods)
    assert main(["--model", "lur", *small]) == 2
    assert "did you mean one of ['lru'" in capsys.readouterr().err
    assert main(["--model", "gru:heads=2", *small]) == 2
    assert "for gru, expected FIELD=VALUE" in capsys.readouterr().err
