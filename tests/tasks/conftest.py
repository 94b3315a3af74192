"""Tiny MNIST files, and a text."""

from pathlib import Path

import numpy as np
import pytest

from tasks.idx_files import write_part


@pytest.fixture
def mnist_folder(tmp_path: Path) -> Path:
    """A folder with both parts: 240 images to train on, gzipped, and 60 others."""
    write_part(tmp_path, "train", 240, ".gz")
    write_part(tmp_path, "t10k", 60)
    return tmp_path


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """10,000 random letters."""
    path = tmp_path / "letters.txt"
    letters = np.random.RandomState(0).choice(list("abcdefgh "), size=10_000)
    path.write_text("".join(letters), encoding="utf-8")
    return path
