"""The pages of commands: "A task of your own" runs, the recorded session has commands that there are."""

import re
from pathlib import Path

import pytest
import session

from memcore.cli import COMMANDS

pytestmark = [
    pytest.mark.requires("tyro", "sklearn", "optax", "grain", "orbax", "matplotlib"),
    pytest.mark.backend("jax"),
]
DOCS = Path(__file__).parents[2] / "docs"
SHORTER = {"train": "--steps 2 --evaluate-rows 32", "evaluate": "--evaluate-rows 32"}


def test_the_page_on_tasks_of_your_own_runs(tmp_path):
    session.play((DOCS / "own.md").read_text(encoding="utf-8"), tmp_path, SHORTER)
    assert (tmp_path / "runs" / "largest" / "config.json").exists()


def test_the_page_on_many_devices_trains():
    text = (DOCS / "parallel.md").read_text(encoding="utf-8")
    blocks = [b for b in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S) if "train" in b]
    assert len(blocks) == 2
    for block in blocks:
        names = {}
        exec(block, names)
        assert names["sums"]["loss"] > 0


def test_a_command_that_fails_is_said(tmp_path):
    with pytest.raises(RuntimeError, match="holds no run"):
        session.play("```console\n$ memcore train --resume nowhere\n```", tmp_path)


def test_what_commands_print_is_recorded(tmp_path):
    page = '```python title="x"\na\n```\nand\n```console\n$ cat x\nold\n$ ls\n```\n'
    played = session.play(page, tmp_path)
    assert played == page.replace("a\n```\nand", "a\n```\nand").replace("old\n", "a\n\n").replace(
        "$ ls\n", "$ ls\nx\n"
    )


def test_the_recorded_session_has_commands_that_there_are():
    text = (DOCS / "session.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ memcore (\w+)", text, re.M)
    assert {"train", "evaluate", "show", "predict"} <= set(commands) <= set(COMMANDS)
