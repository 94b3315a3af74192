"""Where a run prints: tables and progress at every width, and a reader that leaves."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from memcore.train import run
from memcore.train.commands.compare.progress import Follow
from memcore.train.commands.compare.results import Row, cells, headers
from memcore.train.runs.progress import Display
from memcore.train.runs.tables import show

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


def told(width: int, terminal: bool) -> list[str]:
    """The lines of a display of a run that went on after step 2 and 59 seconds: steps 5, 6 and a check."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, color_system=None)
    with Display(console, steps=800, done=2, metric="accuracy", seconds=59.0) as display:
        for step, tokens in ((5, 1_000), (6, 2_000)):
            display.train(step, {"loss": 0.25, "accuracy": 0.5}, 0.0125, tokens)
        display.check(6, {"loss": 0.5, "accuracy": 0.75})
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).replace("\r", "\n").split("\n")


SAID = (
    r"step 6/800", r"0:00:59 elapsed, \d+:\d\d:\d\d left", r"loss 0\.2500", r"accuracy 50\.0%",
    r"rate 0\.0125",
    r"[\d,]+\.\d steps/s", r"[\d,]+ tokens/s", r"validation loss 0\.5000", r"accuracy 75\.0%",
)  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_bar_tells_everything_at_every_width(width):
    lines = told(width, terminal=True)
    assert max(map(len, lines)) <= width
    text = " ".join(line.strip() for line in lines)
    assert all(re.search(pattern, text) for pattern in SAID) and "…" not in text


def test_without_a_terminal_a_line_per_check():
    line, rest = told(60, terminal=False)
    assert line.startswith("step 6/800  validation loss 0.5000  accuracy 75.0%  train loss 0.2500")
    assert all(re.search(pattern, line) for pattern in SAID) and rest == ""


@pytest.mark.parametrize("width", [60, 80])
def test_the_bar_of_a_comparison_tells_runs_steps_losses_and_time(width):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=width, color_system=None)
    follow = Follow(console, runs=3, steps=40)
    with follow.bar:
        follow.begin(0, "gru, seed 0")  # it was finished before: nothing is told of it
        follow.begin(1, "lru, seed 0")
        follow.start({}, Path(), step=10)
        follow.log(20, "train", {"loss": 0.25})
        follow.log(20, "validation", {"loss": 0.5})
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).replace("\r", "\n")
    assert max(map(len, text.split("\n"))) <= width
    for said in (
        "step 60/120",
        "run 2/3  lru, seed 0  step 20/40",
        "loss 0.2500  validation loss 0.5000",
    ):
        assert said in text
    assert re.search(r"0:00:00 elapsed, 0:00:0\d left", text)


LONG = Row(
    "gated_delta_net:negative_eigenvalues=true,heads=2 + positions", metric="accuracy", mean=0.98765,
    spread=0.0123, seeds=3, validation=0.97, parameters=1_234_567, state_size=65_536, step_seconds=0.123,
    seconds=1234.0, learning_rate=0.003,
)  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("reason", ["", "RuntimeError: it broke after many steps of work"])
def test_tables_cut_nothing(width, reason):
    console = Console(record=True, width=width, file=io.StringIO())
    found = [LONG, Row("lru", reason=reason)]
    show(console, "digits, 400 steps", headers(found), [cells(row) for row in found])
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    whole = [*headers([LONG])[:-1], *cells(LONG)[1:-1], *(["failed"] if reason else [])]
    assert all(re.search(rf"[┃│] +{re.escape(part)} +[┃│]", text) for part in whole)
    letters = re.sub(r"[\s│]", "", "".join(line[: width // 3] for line in text.splitlines()))
    assert width == 160 or "gated_delta_net" in letters


@pytest.mark.parametrize("width", [60, 80])
def test_a_run_says_what_it_trains_and_how_it_ended(config, tmp_path, width):
    console = Console(record=True, width=width, file=io.StringIO())
    summary = run(config, tmp_path / "run", console)
    text = console.export_text()
    before, after = text.split("step 4/6")
    for part in (
        "1 x gru on repeat_first",
        f"{summary.parameters:,}",
        f"{summary.state_size:,} numbers",
    ):
        assert part in before
    assert "600 rows of 8 steps" in before and "folder" in before
    assert f"test accuracy        {summary.test_metric:.1%}" in after
