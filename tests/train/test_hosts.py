"""`memcore train --hosts`: two processes on one machine train as one does, and outlive the loss of one."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree

import jax
import pytest

from memcore.cli import main
from memcore.tasks import RepeatFirst, batches
from memcore.tasks.base.streams import Segments
from memcore.train.commands.places import hosts
from memcore.train.devices import hosts as devices

pytestmark = [
    pytest.mark.backend("jax"),
    pytest.mark.requires("tyro", "optax", "grain", "orbax"),
    pytest.mark.xdist_group("hosts"),
]

EQUAL = 5e-6
"""Of losses of about 2, whose sums are rounded in another order."""
RUN = [
    *("--task", "repeat_first", "--task-options.length", "8", "--task-options.episodes", "2"),
    *("--width", "32", "--layers", "1", "--batch-size", "16", "--evaluate-rows", "10"),
    *("--validate-every", "10", "--checkpoint-every", "5"),
]
SMALL = [*RUN, "--model", "gru", "--cell.hidden-size", "48", "--steps", "20"]
AFTER = """
import os, signal, sys
from memcore.cli import main
from memcore.train.learners.core import CoreLearner

plain, count = CoreLearner.step, 0


def step(self, batch):
    global count
    count += 1
    if count == 13:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    return plain(self, batch)


CoreLearner.step = step
sys.exit(main(sys.argv[2:]))
"""
"""The command line, in a process that gets a signal in its thirteenth step."""


def together(*options: str, signal: str = "", devices: int = 1) -> list[tuple[int, str, str]]:
    """Two processes with these options and so many devices each, the second of which gets the signal: codes,
    output and errors."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for index in range(2):
        where = f"coordinator=127.0.0.1:{port},count=2,index={index}"
        begin = ["-c", AFTER, signal] if signal and index else ["-m", "memcore"]
        started.append(
            subprocess.Popen(
                [sys.executable, *begin, "train", *options, "--hosts", where],
                env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags.strip()},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        # Within a minute of the other's end, and half of one where the machine is busy. A process
        # that waits for the other one waits for ever.
        said = {1: started[1].communicate(timeout=600)}
        said[0] = started[0].communicate(timeout=90)
    finally:
        for process in started:
            process.kill()
            process.wait()
    return [(process.returncode, *said[index]) for index, process in enumerate(started)]


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The run of one process."""
    folder = tmp_path_factory.mktemp("one") / "run"
    assert main(["train", *SMALL, "--out", str(folder)]) == 0
    return folder


def test_one_is_killed_and_both_go_on(whole, tmp_path, capsys):
    """The other ends within a minute and says why; from the checkpoint on all is as in one process."""
    run = tmp_path / "run"
    (code, _, said), (killed, silent, _) = together(*SMALL, "--out", str(run), signal="SIGKILL")
    assert killed == -9 and code != 0
    assert "process 0 of 2 ends: " in said or "another task died" in said
    assert "step" not in silent
    copytree(run, tmp_path / "alone")
    (code, printed, _), (other, silent, _) = together("--resume", str(run))
    assert (code, other) == (0, 0)
    assert f"resuming {run} after step 10" in printed and "memcore" not in silent
    assert losses(run) == pytest.approx(losses(whole), abs=EQUAL)
    assert main(["train", "--resume", str(tmp_path / "alone")]) == 0
    assert "after step 10" in capsys.readouterr().out
    assert losses(tmp_path / "alone") == pytest.approx(losses(whole), abs=EQUAL)
    assert main(["evaluate", str(run)]) == 0
    assert sorted(os.listdir(run)) == sorted(os.listdir(whole))


def test_a_signal_to_one_ends_both_after_the_same_step(whole, tmp_path):
    run = tmp_path / "run"
    options = [*SMALL, "--shard-parameters", "--out", str(run)]
    (code, printed, _), (other, _, _) = together(*options, signal="SIGTERM")
    assert code == other == 143
    step = int(printed.split("interrupted after step ")[1].split(";")[0])
    assert step in (13, 14)
    assert (run / "checkpoints" / str(step)).is_dir()
    assert losses(run) == pytest.approx(losses(whole)[: step + 1], abs=EQUAL)


def test_hosts_share_every_sequence(tmp_path):
    """Of four devices each holds a quarter, over both hosts; the state is carried from segment to segment."""
    small = (*RUN, "--model", "lru", "--segment", "8", "--steps", "6")
    assert main(["train", *small, "--out", str(tmp_path / "one")]) == 0
    shared = (*small, "--mesh", "time=4", "--shard-parameters", "--out", str(tmp_path / "run"))
    (code, printed, _), (other, silent, _) = together(*shared, devices=2)
    assert (code, other) == (0, 0) and "memcore" not in silent
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "one"), abs=EQUAL)


@pytest.mark.parametrize("segment", [0, 5])
def test_the_rows_of_all_processes_are_those_of_one(segment):
    task = RepeatFirst(length=8, episodes=2, symbols=3)

    def read(part):
        how = {"batch_size": 6, "seed": 1, "part": part}
        data = Segments(task, "train", size=segment, **how) if segment else batches(task, **how)
        found = [next(data) for _ in range(3)]
        return found, data.get_state()

    (one, state), *parts = [read(part) for part in ((0, 1), (0, 2), (1, 2))]
    for number, batch in enumerate(one):
        for key, value in batch.items():
            for index, (found, place) in enumerate(parts):
                assert (found[number][key] == value[index::2]).all() and place == state


def test_rows_that_cannot_be_shared_are_refused():
    task = RepeatFirst(length=8)
    with pytest.raises(ValueError, match="batch_size is 5, expected a multiple of the 2 processes"):
        batches(task, batch_size=5, part=(0, 2))
    with pytest.raises(ValueError, match="batch_size is 5, expected a multiple of the 2 processes"):
        Segments(task, "train", batch_size=5, size=4, part=(1, 2))


def test_hosts_as_text():
    assert hosts("auto") == "auto"
    assert hosts("coordinator=[::1]:80,count=3,index=2") == ("[::1]:80", 3, 2)


@pytest.mark.parametrize(
    "text, said",
    [
        ("two", "hosts is 'two', expected auto or coordinator=HOST:PORT,count=N,index=I"),
        ("coordinator=a:1,count=2", "hosts is 'coordinator=a:1,count=2', expected auto or "),
        ("coordinator=a,count=2,index=0", "hosts has the coordinator 'a', expected HOST:PORT"),
        ("coordinator=a:0,count=2,index=0", "hosts has the coordinator 'a:0', expected HOST:PORT"),
        ("coordinator=a:65536,count=2,index=0", "hosts has the coordinator 'a:65536', expected"),
        ("coordinator=a:1,count=0,index=0", "hosts has the count '0', expected how many"),
        ("coordinator=a:1,count=2,index=2", "hosts has the index '2', expected 0 to 1"),
    ],
)
def test_what_are_no_hosts_is_refused(capsys, text, said):
    assert main(["train", "--hosts", text]) == 2
    assert capsys.readouterr().err.startswith(f"memcore train: {said}")


def test_a_process_that_waits_for_the_others_says_so(capsys, monkeypatch):
    monkeypatch.setattr(devices, "SILENT", 0.01)
    how: dict[str, object] = {}

    def initialize(*given: object, **more: object) -> None:
        how.update(more)
        time.sleep(0.5)

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    devices.join(("a:1", 3, 2))
    assert how["initialization_timeout"] == devices.MEETING
    assert capsys.readouterr().err == (
        "memcore train: waiting as process 2 of 3 for the others, whose first is expected at a:1; "
        "without them JAX ends this one after 300 s\n"
    )
    monkeypatch.setattr(devices, "SILENT", 60)
    monkeypatch.setattr(jax.distributed, "initialize", lambda *given, **more: None)
    devices.join(("a:1", 3, 2))
    assert capsys.readouterr().err == ""
