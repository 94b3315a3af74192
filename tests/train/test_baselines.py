"""The script of the baseline page, at two steps: the page's sections and rows, and its exit codes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import baselines
import pytest

from memcore.train.commands.compare.options import Entry

pytestmark = pytest.mark.backend("jax")

SMALL = ["--steps", "2", "--width", "16", "--models", "gru,lru"]


@pytest.fixture
def page(tmp_path, monkeypatch) -> Path:
    """A page of its own, with runs of its own beside it."""
    path = tmp_path / "baselines.md"
    path.write_text(f"# Title\n\n{baselines.MARK}\n\nold\n", encoding="utf-8")
    monkeypatch.setattr(baselines, "PAGE", path)
    monkeypatch.setattr(baselines, "RUNS", tmp_path / "runs")
    return path


@pytest.fixture
def measured(monkeypatch) -> dict[int, list[float]]:
    """What was measured on longer words, by their length: on eight of them, for speed."""
    values: dict[int, list[float]] = {64: [], 128: [], 256: []}

    def few(learner, task, split, batch_size):
        assert split == "test"
        found = plain(learner, task, split, 8, rows=8)
        values[task.length].append(found["accuracy"])
        return found

    plain = baselines.evaluate
    monkeypatch.setattr(baselines, "evaluate", few)
    return values


def broken(monkeypatch, *models: str) -> None:
    """Let these models fail while they are built."""

    def build(self):
        if self.model in models:
            raise RuntimeError("it | broke")
        return plain(self)

    plain = Entry.build
    monkeypatch.setattr(Entry, "build", build)


def table(text: str, task: str) -> list[list[str]]:
    """The cells of a section's table, without the line below the header."""
    part = text.split(f"### `{task}`\n")[1].split("###")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split(" | ")] for line in (lines[0], *lines[2:])]


def test_every_finished_task_stays_on_the_page(page, measured, monkeypatch):
    """Two tasks, one after the other: two sections, the failed model a row with its reason."""
    assert baselines.main([*SMALL, "--only", "parity", "--seeds", "2"]) == 0
    text = page.read_text()
    assert text.startswith(f"# Title\n\n{baselines.MARK}\n\n## Results\n") and "old" not in text
    assert "2 layers of width 16" in text and "2 steps of 32 rows, learning rate 0.01" in text
    assert "words of 32 bits" in text
    header, *rows = table(text, "parity")
    assert header[:2] == ["| model", "test accuracy"]
    assert [(row[0], row[6]) for row in rows] == [("| gru", "2"), ("| lru", "2")]
    for column, (length, values) in enumerate(measured.items(), 2):
        assert header[column] == f"length {length}" and len(values) == 4
        seeds = values[:2], values[2:]
        assert [row[column] for row in rows] == [f"{fmean(s):.1%} ± {stdev(s):.1%}" for s in seeds]

    broken(monkeypatch, "lru")
    assert baselines.main([*SMALL, "--only", "mqar"]) == 0
    text = page.read_text()
    assert [row[0] for row in table(text, "parity")[1:]] == ["| gru", "| lru"]
    gru, lru = table(text, "mqar")[1:]
    assert gru[1].endswith("%") and gru[-1] == "|"
    assert lru[0] == "| lru" and lru[1] == "" and lru[-1] == r"RuntimeError: it \| broke |"
    assert text.index("### `parity`") < text.index("### `mqar`")
    assert text.count("Training took ") == 2 and "without and with" not in text

    shutil.rmtree(baselines.RUNS / "parity")  # as in another checkout: the page keeps its section
    assert baselines.main([*SMALL, "--only", "mqar"]) == 0
    assert page.read_text() == text
    other = baselines.comparison(baselines.BASELINES[0], baselines.parse([*SMALL, "--steps", "3"]))
    assert "###" not in baselines.page([other])  # another budget


def test_a_comparison_that_fails_is_the_exit_code(page, monkeypatch, capsys):
    before = page.read_text()
    broken(monkeypatch, "gru", "lru")
    assert baselines.main([*SMALL, "--only", "repeat_first"]) == 1
    assert "repeat_first did not end well" in capsys.readouterr().err
    monkeypatch.setattr(baselines, "compare", lambda *_: 130)
    assert baselines.main([*SMALL, "--only", "repeat_first"]) == 130
    assert page.read_text() == before


def test_other_settings_are_a_message(page, monkeypatch, capsys):
    monkeypatch.setattr(baselines, "compare", lambda *_: 130)
    assert baselines.main([*SMALL, "--only", "mqar"]) == 130
    before = page.read_text()
    assert baselines.main([*SMALL, "--only", "mqar", "--steps", "3"]) == 2
    message = capsys.readouterr().err
    assert "baselines: " in message and "another comparison: steps is 2 there, 3 here" in message
    assert baselines.main([*SMALL, "--models", "gruu"]) == 2
    assert "gruu" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        baselines.main(["--only", "chess"])
    assert page.read_text() == before


def test_rows_of_other_settings_are_no_rows(page):
    """What another budget left is not shown at this one."""
    given = baselines.parse(SMALL)
    here = baselines.comparison(baselines.BASELINES[0], given)
    folder = here.options.folder
    folder.mkdir(parents=True)
    assert here.rows() == []
    (folder / "results.json").write_text(json.dumps([{"model": "lru"}]))
    for width, found in ((16, ["lru"]), (32, [])):
        settings = replace(here.options, width=width).settings(here.task)
        (folder / "comparison.json").write_text(json.dumps({"settings": settings, "runs": []}))
        assert [row.model for row in here.rows()] == found


def test_the_time_of_the_five():
    """Below digits stands what the five models took, without and with positions."""
    labels = [f"{name}{end}" for name in baselines.FIVE for end in ("", " + positions")]
    found = [baselines.Row(label, mean=0.5, seconds=12.0) for label in labels]
    other = baselines.Row("lstm", mean=0.5, seconds=30.0)
    text = baselines.times([*found, other])
    assert "took 2.5 min in all" in text and text.endswith("took 2.0 min of it.")
    assert "without and with" not in baselines.times([*found[1:], other])
