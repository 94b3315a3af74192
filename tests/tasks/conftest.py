"""Tiny MNIST files."""

from pathlib import Path

import pytest

from tasks.idx_files import write_part


@pytest.fixture
def mnist_folder(tmp_path: Path) -> Path:
    """A folder with both parts: 240 images to train on, gzipped, and 60 others."""
    write_part(tmp_path, "train", 240, ".gz")
    write_part(tmp_path, "t10k", 60)
    return tmp_path
