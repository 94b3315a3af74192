"""SIGKILL at any moment: the run goes on, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memcore.cli import main
from memcore.tasks import RepeatFirst
from memcore.train import run
from memcore.train.commands.compare.command import enter
from memcore.train.commands.compare.options import Options
from memcore.train.runs.folder import RunFolder
from memcore.train.runs.metrics import Metrics
from train.small import assert_same

pytestmark = [
    pytest.mark.backend("jax"),
    pytest.mark.requires("tyro", "optax", "grain", "orbax"),
]

EVERY = 100
"""Steps between checkpoints."""
SMALL = [
    *("train", "--task", "repeat_first", "--task-options.length", "8"),
    *("--task-options.episodes", "2", "--model", "gru", "--cell.hidden-size", "4"),
    *("--width", "4", "--layers", "1", "--steps", "600", "--batch-size", "4"),
    *("--evaluate-rows", "64", "--validate-every", "70", "--checkpoint-every", str(EVERY)),
]


def killed(arguments: list[str], folder: Path) -> int:
    """Run the command, and kill it between two checkpoints: the last step that its metrics show.

    Checkpoints come every `EVERY` steps, and at a check that is the best so far.
    """
    command = [sys.executable, "-m", "memcore", *arguments, "--out", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    metrics, step = Metrics(RunFolder(folder).metrics, "accuracy"), 0
    try:
        while step <= EVERY or step % EVERY == 0:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
            step = max((line["step"] for line in metrics.read()), default=0)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    return step


@pytest.mark.parametrize("options", [(), ("--segment", "3")], ids=["rows", "segments"])
def test_a_killed_process_goes_on_to_the_same_end(tmp_path, capsys, options):
    """Metrics, parameters and summary are the same to the last bit, times excepted."""
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    step = killed([*SMALL, *options], parts)
    assert not (parts / "results.json").exists()
    resume = [sys.executable, "-m", "memcore", "train", "--resume", str(parts)]
    printed = subprocess.run(resume, capture_output=True, text=True, check=True).stdout
    begun = int(printed.split("after step ")[1].split()[0])
    assert begun and (begun % EVERY == 0 or begun % 70 == 0) and step >= begun
    assert main([*SMALL, *options, "--out", str(whole)]) == 0
    capsys.readouterr()
    assert_same(parts, whole)
    assert (parts / "config.json").read_bytes() == (whole / "config.json").read_bytes()
    one, other = (json.loads((folder / "results.json").read_text()) for folder in (parts, whole))
    for name in ("seconds", "step_seconds"):
        assert one.pop(name) > 0 and other.pop(name) > 0
    assert one == other
    assert sorted(os.listdir(parts)) == sorted(os.listdir(whole))


def half_written(folder: Path, *names: str) -> list[Path]:
    """The drafts of files that a killed process leaves."""
    folder.mkdir(parents=True, exist_ok=True)
    drafts = [folder / f".{Path(name).stem}.123{Path(name).suffix}" for name in names]
    for draft in drafts:
        draft.write_text('{"ste')
    return drafts


def test_a_draft_of_a_configuration_does_not_keep_a_run_out(config, tmp_path, console):
    drafts = half_written(tmp_path / "run", "config.json")
    assert run(config, tmp_path / "run", console) is not None
    assert not any(draft.exists() for draft in drafts)


def test_what_a_killed_process_left_is_removed(config, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.claim(config)
    names = ("config.json", "metrics.jsonl", "model.safetensors", "curves.png", "results.json")
    half_written(folder.path, *names)
    folder.claim(config)
    assert [path.name for path in folder.path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "name", ["notes.json", ".config.json", ".config.old.json", ".other.1.json"]
)
def test_other_files_are_no_drafts(config, tmp_path, name):
    half_written(tmp_path, "config.json")
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="exists and holds no run"):
        run(config, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_draft_does_not_keep_a_comparison_out(tmp_path):
    options = Options(task="repeat_first", models="gru", out=tmp_path)
    half_written(tmp_path, "comparison.json")
    for _ in range(2):
        enter(options, RepeatFirst(), [])
        assert [path.name for path in tmp_path.iterdir()] == ["comparison.json"]
        half_written(tmp_path, "comparison.json", "results.csv", "curves.png")
    (tmp_path / "comparison.json").unlink()
    with pytest.raises(FileExistsError, match="exists and holds no comparison"):
        enter(options, RepeatFirst(), [])
