"""Files that may hold something else than their names say."""

import csv
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """What is raised inside for the content of a file, as a ValueError that names the file."""
    try:
        yield
    except (ValueError, OSError, EOFError, csv.Error, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not {kind}: {error}") from error


def csv_lines(path: Path) -> list[list[str]]:
    """The cells of a CSV file in UTF-8, with a byte order mark or without; empty lines are left out."""
    with (
        readable(path, "a table in UTF-8"),
        path.open(newline="", encoding="utf-8-sig") as file,
    ):
        return [line for line in csv.reader(file) if line]
