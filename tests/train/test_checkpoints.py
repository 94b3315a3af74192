"""Checkpoints: three are kept, and a damaged one costs the steps since the one before."""

from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import pytest

from memcore.cli import main
from memcore.train import run
from train.small import assert_same, small_config

pytestmark = [
    pytest.mark.backend("jax"),
    pytest.mark.requires("tyro", "optax", "grain", "orbax"),
]


def config():
    return replace(small_config(), batch_size=20, checkpoint_every=2, evaluate_rows=20, steps=8)


@pytest.fixture
def interrupted(tmp_path, console, stop_after, monkeypatch):
    """The folder of a run that was interrupted after its seventh step."""
    stop_after(7)
    assert run(config(), tmp_path / "run", console) is None
    monkeypatch.undo()
    return tmp_path / "run"


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir())


def truncated(checkpoint: Path) -> None:
    for path in (checkpoint / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_its_state(checkpoint: Path) -> None:
    rmtree(checkpoint / "state")


def without_its_position(checkpoint: Path) -> None:
    rmtree(checkpoint / "position")


def empty(checkpoint: Path) -> None:
    rmtree(checkpoint)
    checkpoint.mkdir()


DAMAGES = (truncated, without_its_state, without_its_position, empty)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(
    interrupted, console, tmp_path, damage, capfd
):
    assert steps(interrupted) == [4, 6, 7]
    damage(interrupted / "checkpoints" / "7")
    assert run(config(), interrupted, console) is not None
    text = console.export_text()
    assert f"checkpoint 7 in {interrupted}/checkpoints is damaged: " in text
    assert f"resuming {interrupted} after step 6" in text and "Traceback" not in text
    assert "Traceback" not in capfd.readouterr().err
    assert steps(interrupted) == [4, 6, 8]
    run(config(), tmp_path / "whole", console)
    assert_same(interrupted, tmp_path / "whole")


def test_where_all_are_damaged_a_line_says_what_to_do(interrupted, capsys):
    for checkpoint in (interrupted / "checkpoints").iterdir():
        truncated(checkpoint)
    before = steps(interrupted)
    assert main(["train", "--resume", str(interrupted)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "holds no checkpoint that can be read; remove it" in said
    assert steps(interrupted) == before
    rmtree(interrupted / "checkpoints")
    assert main(["train", "--resume", str(interrupted)]) == 0
