"""The page on language: its commands run one after the other, its Python runs."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memcore.cli import main

pytestmark = [
    pytest.mark.backend("jax"),
    pytest.mark.requires("tyro", "optax", "grain", "orbax", "matplotlib"),
]
SHORTER = {"train": "--steps 2 --batch-size 4 --evaluate-rows 2"}


@pytest.fixture
def page(pytestconfig: pytest.Config) -> str:
    return (pytestconfig.rootpath / "docs" / "language.md").read_text(encoding="utf-8")


def test_the_commands_run(page: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = np.random.RandomState(0).choice(["The cat ", "sat. ", "On a mat "], size=2000)
    for name in ("corpus.txt", "other.txt"):
        Path(name).write_text("".join(words))
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert [line[1] for line in lines] == ["train", "evaluate", "generate"]
    for _, command, *rest in lines:
        capsys.readouterr()
        assert main([command, *rest, *SHORTER.get(command, "").split()]) == 0
    said = capsys.readouterr().out
    assert said.startswith("The ") and len(said) > 4 and "." not in said


def test_the_python_runs(page: str):
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S):
        exec(block, names)
    assert names["tokens"].shape == names["more"].shape == (2, 20)
    how = {**names["how"], "length": 40, "valid": names["valid"]}
    args = (names["model"], names["params"], names["prompts"])
    _, whole = names["memcore"].generate(*args, **how)
    np.testing.assert_array_equal(whole, np.hstack([names["tokens"], names["more"]]))
    assert len(names["ends"]) == 3 and len({tuple(end.tolist()) for end in names["ends"]}) == 3
