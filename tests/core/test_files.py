"""Where a checkpoint is written: names, modes, links, threads, and what a kill leaves behind."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memcore
from memcore.files import DRAFT

GRU = memcore.GRU(3, hidden_size=2)
P = GRU.init(0)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def save(path: Any) -> None:
    memcore.save(path, GRU, P)


# --- modes and links -------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0o600, 0o400, 0o664, 0o755])
def test_overwriting_keeps_the_mode(before: int, tmp_path: Path) -> None:
    path = tmp_path / "m"
    save(path)
    path.chmod(before)
    memcore.save(path, GRU, GRU.init(1))
    assert mode(path) == before
    np.testing.assert_array_equal(
        memcore.load(path)[1]["input"]["kernel"], GRU.init(1)["input"]["kernel"]
    )


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_the_umask(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        save(tmp_path / "m")
    finally:
        os.umask(before)
    assert mode(tmp_path / "m") == 0o666 & ~mask


def test_the_umask_is_never_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to all threads: a file that another one makes meanwhile would be open to everybody."""

    def changed(mask: int) -> int:
        raise AssertionError(f"umask({mask})")

    monkeypatch.setattr(os, "umask", changed)
    save(tmp_path / "m")


def test_saving_in_many_threads(tmp_path: Path) -> None:
    """Each file is whole, has the same mode, and no draft is taken for one that was left behind."""
    wrong: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(15):
                save(tmp_path / f"m{(number + i) % 3}")
                memcore.load(tmp_path / f"m{(number + i) % 3}")
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sorted(os.listdir(tmp_path)) == ["m0", "m1", "m2"]
    assert len({mode(tmp_path / name) for name in os.listdir(tmp_path)}) == 1


@pytest.mark.parametrize("relative", [True, False])
def test_a_link_stays_one(relative: bool, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "m", tmp_path / "link"
    save(target)
    target.chmod(0o600)
    link.symlink_to("real/m" if relative else target)
    memcore.save(link, GRU, GRU.init(1))
    assert link.is_symlink() and not target.is_symlink()
    assert mode(target) == 0o600
    np.testing.assert_array_equal(
        memcore.load(target)[1]["input"]["kernel"], GRU.init(1)["input"]["kernel"]
    )
    assert os.listdir(tmp_path / "real") == ["m"]


def test_a_link_to_where_nothing_is_yet(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("m")
    save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and memcore.load(tmp_path / "m")[0] == GRU


# --- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 200, 250, 255])
def test_names_as_long_as_the_system_has_them(length: int, tmp_path: Path) -> None:
    save(tmp_path / ("x" * length))
    assert memcore.load(tmp_path / ("x" * length))[0] == GRU
    assert os.listdir(tmp_path) == ["x" * length]


def test_names_that_are_too_long(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 256), tmp_path / ("x" * 256) / "m"):
        with pytest.raises(OSError, match=r"path is '.*': File name too long"):
            save(path)
        with pytest.raises(FileNotFoundError, match=r"^path is '.*', where no file is"):
            memcore.load(path)
    assert os.listdir(tmp_path) == []


def test_paths_that_name_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^path is '', expected the name of a file"):
        save("")
    with pytest.raises(FileNotFoundError, match=r"^path is '', where no file is"):
        memcore.load("")
    folder = re.escape(repr(str(tmp_path)))
    for take in (save, memcore.load):
        with pytest.raises(IsADirectoryError, match=rf"^path is {folder}, which is a folder"):
            take(tmp_path)
        with pytest.raises(TypeError, match=r"^path is None, expected a str or a path"):
            take(None)
        with pytest.raises(TypeError, match=r"^path is b'm', expected a str or a path"):
            take(b"m")
    with pytest.raises(IsADirectoryError, match=r"^path is '.*m/', which names a folder, expected"):
        save(f"{tmp_path}/m/")
    with pytest.raises(FileNotFoundError, match=r"^path is '.*m', whose folder is not there"):
        save(tmp_path / "none" / "m")
    with pytest.raises(ValueError, match=r"^path is 'a\\x00b', expected the name of a file"):
        save("a\0b")
    assert os.listdir(tmp_path) == []


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("pipe", "loop"):
        with pytest.raises(ValueError, match=r"^path is '.*', which is no regular file"):
            save(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["loop", "pipe"]


# --- what a kill leaves behind ---------------------------------------------------------------------

KILLED = """
import os, signal, sys
import memcore

def killed(*args):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[2], killed)
model = memcore.GRU(3, hidden_size=2)
memcore.save(sys.argv[1], model, model.init(0))
"""


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_leaves_nothing_for_long(moment: str, tmp_path: Path) -> None:
    save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "other"), moment], check=False)
    left = [name for name in os.listdir(tmp_path) if name != "m"]
    assert len(left) == 1 and left[0].startswith(DRAFT)
    assert (tmp_path / "m").read_bytes() == before
    save(tmp_path / "m")
    assert os.listdir(tmp_path) == ["m"]


def test_a_draft_that_is_being_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def meanwhile(source: Any, target: Any) -> None:
        """Another thread, or process, saves beside at the last moment."""
        monkeypatch.setattr(os, "replace", replace)
        save(tmp_path / "other")
        replace(source, target)

    monkeypatch.setattr(os, "replace", meanwhile)
    save(tmp_path / "m")
    assert sorted(os.listdir(tmp_path)) == ["m", "other"]


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    names = [".m.backup", "m.tmp", f"x{DRAFT}", ".memcore"]
    for name in names:
        (tmp_path / name).write_text("mine")
    (tmp_path / "aim").write_text("mine")
    (tmp_path / f"{DRAFT}link").symlink_to("aim")
    save(tmp_path / "m")
    assert {*names, "aim", "m"} <= set(os.listdir(tmp_path))
