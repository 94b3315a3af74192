"""The README: its code runs, its commands are the promised ones, its table is the registry."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import memcore

README = Path(__file__).parents[2] / "README.md"
PROMISED = [  # every shell block, in order
    ["git clone <this repository> memcore && cd memcore", 'pip install ".[flax]"'],
    ['pip install ".[all]"', "memcore train"],
    [
        "memcore list",
        "memcore show --task mqar",
        "memcore compare --task digits --models lru,gru,attention --seeds 3",
        "memcore bench --model gated_delta_net --length 4096",
    ],
    ["pip install nox && nox"],
]
# Long ones are cut short here; whole, they are what `benchmarks/` and people run.
SHORTER = {
    "bench": "--length 64",
    "compare": "--seeds 1 --steps 2 --positions none --evaluate-rows 32",
    "train": "--steps 2 --evaluate-rows 32",
}


@dataclass(frozen=True)
class Block:
    language: str
    line: int
    code: str


def blocks() -> list[Block]:
    text = README.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
    return [Block(m[1], text.count("\n", 0, m.start()) + 1, m[2]) for m in found]


def test_every_block_has_a_language():
    fences = re.findall(r"^```", README.read_text(encoding="utf-8"), re.M)
    assert len(fences) == 2 * len(blocks())
    assert {block.language for block in blocks()} <= {"python", "sh", "text"}


@pytest.mark.requires("jax", "equinox", "flax", "optax")
def test_python_blocks_run(tmp_path: Path):
    """Each in a process of its own, in the order of the page, in one folder."""
    python = [block for block in blocks() if block.language == "python"]
    assert python
    for block in python:
        # Lines before the block keep the numbers of the README in a traceback.
        (tmp_path / "README.py").write_text("\n" * block.line + block.code, encoding="utf-8")
        result = subprocess.run(
            [sys.executable, "README.py"], cwd=tmp_path, capture_output=True, text=True
        )
        assert result.returncode == 0, f"README.md:{block.line}\n{result.stderr}"


def test_shell_blocks_are_the_promised_ones():
    shell = [block.code.strip().splitlines() for block in blocks() if block.language == "sh"]
    assert shell == PROMISED


@pytest.mark.requires("tyro", "sklearn", "optax", "grain", "orbax", "matplotlib")
def test_commands_run(tmp_path: Path):
    lines = [line.split() for block in PROMISED for line in block if line.startswith("memcore ")]
    for line in lines:
        command = [sys.executable, "-m", *line, *SHORTER.get(line[1], "").split()]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        assert result.stdout


def test_table_is_the_registry():
    rows = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \|", README.read_text(encoding="utf-8"), re.M)
    table = {name: path.split(".")[-1] for name, path in rows}
    assert table == {name: model.__name__ for name, model in memcore.registry.items()}
