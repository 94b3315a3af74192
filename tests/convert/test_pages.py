"""The pages for those who come from elsewhere: their code runs, and the models that they name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import memcore
from memcore.registry import alone

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["coming_from_memax.md", "coming_from_memorax.md", "coming_from_titans_nnx.md"]


@pytest.mark.parametrize("page", PAGES)
def test_code_runs(page: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    assert len(blocks) > 3
    names: dict[str, object] = {}
    for code in blocks:
        exec(compile(code, page, "exec"), names)


@pytest.mark.parametrize("page", [*PAGES, "which_model.md"])
def test_models_exist(page: str) -> None:
    column = 0 if page == "which_model.md" else 1
    rows = re.findall(r"^\| (.*) \|$", (DOCS / page).read_text(), re.M)
    cells = [re.split(r" ?\| ?", row)[column] for row in rows]
    named = {name for cell in cells for name in re.findall(r"`([A-Z]\w+)[`(]", cell)}
    assert len(named) > 5 and [name for name in named if not hasattr(memcore, name)] == []


def test_which_model_has_a_row_of_every_memory() -> None:
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / "which_model.md").read_text(), re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    memories = {cls for cls in alone().values() if cls.__module__.startswith("memcore.models.")}
    assert {cls.__name__ for cls in memories} - named == set() and len(memories) > 40


def test_which_model_gives_the_numbers_of_the_baselines() -> None:
    """`X` a%, and a% of a task in the row of X: all of them stand on that page, or are of the other task."""
    given = set(re.findall(r"\d+\.\d%", (DOCS / "which_model.md").read_text()))
    there = (DOCS / "baselines.md").read_text() + (DOCS / "remember_first.md").read_text()
    assert given - set(re.findall(r"\d+\.\d%", there)) == set() and len(given) > 10


def measured(task: str, column: str) -> dict[str, str]:
    """What the baselines' table of a task has in a column, by the name of the class."""
    part = (
        (DOCS / "baselines.md").read_text().partition(f"### `{task}`\n")[2].partition("\n### ")[0]
    )
    head, _, *rows = [
        line.strip("| ").split(" | ") for line in part.splitlines() if line[:1] == "|"
    ]
    classes = {name: cls.__name__ for name, cls in memcore.registry.items()}
    at = head.index(column)
    return {classes[row[0]]: row[at].split(" ")[0] for row in rows if row[0] in classes}


@pytest.mark.parametrize(("task", "column"), [("parity", "length 64"), ("mqar", "test accuracy")])
def test_shares_stand_in_the_row_of_their_models(task: str, column: str) -> None:
    """A row of n memories has n shares of a task, in their order, from the table of that task."""
    found, compared = measured(task, column), 0
    for row in re.findall(r"^\| (`.*) \|$", (DOCS / "which_model.md").read_text(), re.M):
        cells = row.split(" | ")
        for cell in cells[1:]:
            if cell.startswith(f"`{task}`") and len(cells) == 7:
                names = re.findall(r"`(\w+)`", cells[0])
                assert re.findall(r"\d+\.\d%", cell) == [found[name] for name in names], row
                compared += len(names)
    assert compared > 7
