"""One process at a time in a run's folder, and in a comparison's."""

import os
import signal
import subprocess
import sys

import pytest

from memcore.cli import main
from memcore.train import run
from memcore.train.runs.folder import RunFolder
from memcore.train.runs.lock import NAMES, held

pytestmark = [
    pytest.mark.backend("jax"),
    pytest.mark.requires("tyro", "optax", "grain", "orbax"),
]

HOLD = """
import sys, time
from pathlib import Path
from memcore.train.runs.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder():
    """`holder(folder)`: a process that holds a folder; killed at the end."""
    processes = []

    def start(folder):
        command = [sys.executable, "-c", HOLD, str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_second_run_is_refused_and_says_who_is_there(config, tmp_path, console, holder, capsys):
    folder = tmp_path / "run"
    RunFolder(folder).claim(config)
    process = holder(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(BlockingIOError, match=f"run is in use by process {process.pid} on "):
        run(config, folder, console)
    assert main(["train", "--resume", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("memcore train: ") and f"in use by process {process.pid}" in said
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_dead_holder_is_noticed(config, tmp_path, console, holder):
    folder = tmp_path / "run"
    process = holder(folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert set(os.listdir(folder)) == set(NAMES)
    assert run(config, folder, console) is not None
    assert not set(os.listdir(folder)) & set(NAMES)


def test_nobody_else_enters_while_a_run_trains(config, tmp_path, console, monkeypatch):
    """The lock spans the training, and ends with it, an error included."""

    def there(*results):
        with pytest.raises(BlockingIOError, match=f"in use by process {os.getpid()} on "):
            RunFolder(tmp_path / "run").claim(config)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("memcore.train.runs.sitting.finish", there)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "run", console)
    assert run(config, tmp_path / "run", console) is not None


def test_a_second_comparison_is_refused(tmp_path, holder, capsys):
    process = holder(tmp_path / "compared")
    small = ["--task", "repeat_first", "--models", "gru", "--out", str(tmp_path / "compared")]
    assert main(["compare", *small]) == 2
    said = capsys.readouterr().err
    assert said.startswith("memcore compare: ") and f"in use by process {process.pid}" in said
    assert set(os.listdir(tmp_path / "compared")) == set(NAMES)


def test_a_folder_is_held_once(tmp_path):
    with held(tmp_path), pytest.raises(BlockingIOError, match="is in use by"), held(tmp_path):
        raise AssertionError
    (tmp_path / ".holder.json").write_text("{")
    with held(tmp_path):
        (tmp_path / ".holder.json").write_text("{")
        with pytest.raises(BlockingIOError, match="is in use by another process"), held(tmp_path):
            raise AssertionError
    assert not list(tmp_path.iterdir())
