"""Where a run prints: tables and progress at every width, and a reader that leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.backend("jax"), pytest.mark.requires("tyro", "optax", "grain", "orbax")]


def test_a_run_goes_on_when_its_reader_leaves(tmp_path):
    """`memcore train | head`, whose end of the pipe is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from train.small import small_config\nfrom memcore.train import run\n"
        "assert run(small_config(), sys.argv[1]).steps == 6"
    )
    here = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", code, str(tmp_path / "run"), here]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("memcore: nobody reads the output any more; the work goes on")
    assert (tmp_path / "run" / "results.json").exists()
