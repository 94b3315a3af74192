"""One process at a time in a folder."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

LOCK, HOLDER = ".lock", ".holder.json"
NAMES = (LOCK, HOLDER)
"""What stands in a folder while a process holds it, and after one that was killed."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Inside, no other process enters `folder`, which is made where it is missing.

    The lock is the operating system's and ends with its process, however that ends; the file beside it
    only says whose it is. Raises BlockingIOError naming the process that holds the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        message = f"{folder} is in use by {_holder(folder)}; wait for it to end, or end it"
        raise BlockingIOError(message) from None
    try:
        here = {"pid": os.getpid(), "host": socket.gethostname()}
        (folder / HOLDER).write_text(json.dumps(here))
        yield
    finally:
        # Within the lock, or the files of the next holder would go.
        (folder / HOLDER).unlink(missing_ok=True)
        with suppress(PermissionError):  # on Windows an open file stays until its release
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    try:
        there = json.loads((folder / HOLDER).read_text())
    except (OSError, ValueError):  # it has just come, or is just going
        return "another process"
    return f"process {there['pid']} on {there['host']}"
