"""Files that are never half there: written as a draft beside, and renamed."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path

DRAFT = ".memcore-draft-"
"""How the names of drafts begin: short, whatever the file is called."""

# Windows has no such locks, and renames closed files only: drafts that a kill left behind stay there.
_LOCKS = sys.platform != "win32"


def checked_path(path: str | os.PathLike[str]) -> Path:
    """Where a file may be written: ``path``, or what it links to.

    Raises:
        TypeError: ``path`` is no str or path.
        ValueError: it is empty, or names what is no file.
        FileNotFoundError, IsADirectoryError, OSError: its folder is not there, it is a folder, or the
            system has no such names.
    """
    given = _given(path)
    if not given:
        raise ValueError("path is '', expected the name of a file")
    if given.endswith(os.sep):
        raise IsADirectoryError(f"path is {given!r}, which names a folder, expected a file")
    try:
        target = Path(os.path.realpath(given))
        mode = target.lstat().st_mode if target.parent.is_dir() else None
    except FileNotFoundError:
        return target
    except ValueError as error:
        raise ValueError(f"path is {given!r}, expected the name of a file: {error}") from error
    except OSError as error:
        raise OSError(error.errno, f"path is {given!r}: {error.strerror}") from error
    if mode is None:
        raise FileNotFoundError(f"path is {given!r}, whose folder is not there")
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"path is {given!r}, which is a folder, expected a file")
    if not stat.S_ISREG(mode):
        raise ValueError(f"path is {given!r}, which is no regular file")
    return target


def existing_path(path: str | os.PathLike[str]) -> str:
    """``path``, where a file is.

    Raises:
        TypeError: ``path`` is no str or path.
        FileNotFoundError, IsADirectoryError: there is no such file, or a folder of that name.
    """
    given = _given(path)
    if os.path.isdir(given):
        raise IsADirectoryError(f"path is {given!r}, which is a folder, expected a file")
    if not os.path.isfile(given):
        raise FileNotFoundError(f"path is {given!r}, where no file is")
    return given


def _given(path: str | os.PathLike[str]) -> str:
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"path is {path!r}, expected a str or a path")
    return os.fspath(path)


def replace(path: Path, content: bytes) -> None:
    """Make ``content`` the file at ``path``; the mode and owner of one that was there are kept."""
    _clean(path.parent)
    old = path.stat() if path.exists() else None
    draft, handle = _new_draft(path.parent, 0o666 if old is None else 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
            if old is not None:
                _resemble(draft, old)
            if _LOCKS:
                os.replace(draft, path)
        if not _LOCKS:
            os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _resemble(draft: Path, old: os.stat_result) -> None:
    if _LOCKS:
        with suppress(PermissionError):
            os.chown(draft, old.st_uid, old.st_gid)
    os.chmod(draft, stat.S_IMODE(old.st_mode))


def _new_draft(folder: Path, mode: int) -> tuple[Path, int]:
    """A draft that is locked as long as it is open. The system applies the umask: to look it up would
    change it for all threads."""
    while True:
        draft = folder / f"{DRAFT}{secrets.token_hex(8)}"
        handle = os.open(
            draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode
        )
        with suppress(OSError):  # a file system without locks, where none are cleaned either
            _lock(handle, wait=True)
        if not _LOCKS or os.fstat(handle).st_nlink:
            return draft, handle
        os.close(handle)  # another process took it for one that was left behind, before the lock


def _lock(handle: int, wait: bool) -> None:
    """Raises OSError where the lock is taken, or there are none."""
    if _LOCKS:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _clean(folder: Path) -> None:
    """Remove the drafts that no process writes any more: a kill left them behind."""
    for draft in folder.glob(f"{DRAFT}*") if _LOCKS else ():
        with suppress(OSError):
            handle = os.open(draft, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                _lock(handle, wait=False)
                draft.unlink()
            finally:
                os.close(handle)
