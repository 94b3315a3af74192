"""`memcore show` and `memcore list`."""

import subprocess
import sys

import numpy as np
import pytest

from memcore import tasks
from memcore.cli import main
from memcore.registry import registry

pytestmark = pytest.mark.requires("tyro", "matplotlib", "sklearn")


@pytest.mark.parametrize("task", sorted(tasks.tasks))
def test_a_picture_of_every_task(capsys, tmp_path, task):
    from matplotlib.image import imread

    out = tmp_path / "pictures" / "x.png"
    options = []
    if task == "text":
        text = tmp_path / "text.txt"
        text.write_text("abcdefgh" * 200, encoding="utf-8")
        options = ["--task-options.path", str(text)]
    arguments = ["show", "--task", task, "--count", "1", "--steps", "40", "--out", str(out)]
    assert main([*arguments, *options]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    picture = imread(out)
    assert picture.shape == (260, 1000, 4)
    assert len(np.unique(picture[..., :3].reshape(-1, 3), axis=0)) > 10
    assert [path.name for path in out.parent.iterdir()] == ["x.png"]


def test_a_picture_shows_the_asked_examples(tmp_path):
    from memcore.tasks.show import figure

    task = tasks.Packed(tasks.Parity(length=10), 2)
    drawn = figure(task, "test", first=3, count=2, steps=15)
    inputs = [axes.lines[0].get_ydata() for axes in drawn.axes[::2]]
    source = task.source("test")
    for index, line in zip((3, 4), inputs, strict=True):
        np.testing.assert_array_equal(line, source[index]["xs"][:15])
    starts = [line.get_xdata()[0] for line in drawn.axes[0].lines[1:]]
    assert starts == [0, 10]


def test_the_picture_says_which_images_they_are(monkeypatch):
    from memcore.tasks.show import figure

    monkeypatch.delenv("MEMCORE_DATA", raising=False)
    drawn = figure(tasks.SMNIST(), "test", count=1)
    assert drawn.get_suptitle() == "smnist (8x8 digits): test 0 to 0"


def test_steps_are_whole_numbers():
    from memcore.tasks.show import figure

    for axes in figure(tasks.Parity(length=3), "test", count=1).axes:
        assert [x for x in axes.get_xticks() if -0.5 < x < 2.5] == [0, 1, 2]


def test_only_the_steps_that_are_drawn_are_made():
    from memcore.tasks.show import beginning

    class Long(tasks.Parity):
        def segments(self, split, index, size):
            for _ in range(2):
                yield {key: value[:size] for key, value in self.source(split)[index].items()}
            raise AssertionError("more was asked for than is drawn")

    assert len(beginning(Long(length=8), "train", 0, 16)["xs"]) == 16


ERRORS = {
    "task": (["--task", "digit"], "unknown task 'digit'; did you mean digits?"),
    "example": (["--task", "parity", "--first", "65535"], "index is 65536, expected 0 to 65535"),
    "count": (["--count", "0"], "count is 0, expected 1 or more"),
    "steps": (["--steps", "0"], "steps is 0, expected 1 or more"),
    "pack": (["--pack", "0"], "pack is 0, expected 1 or more"),
    "path": (["--task", "text"], "path is None, expected a text file"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_and_leaves_nothing(capsys, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    arguments, message = ERRORS[case]
    assert main(["show", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("memcore show: ") and message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_without_out_the_picture_is_named_after_the_task(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["show", "--task", "copy"]) == 0
    assert (tmp_path / "copy.png").is_file()


def test_list_has_a_line_for_every_model_and_task(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    known = [line.split() for line in printed.splitlines() if line.startswith("  ")]
    assert [words[0] for words in known] == [*sorted(registry), *sorted(tasks.tasks)]
    assert all(len(words) > 3 for words in known)
    assert main(["list", "tasks"]) == 0
    assert capsys.readouterr().out == printed[printed.index("tasks:") :]


@pytest.mark.parametrize("wrong", [["modles"], ["models", "tasks"]])
def test_list_of_something_else(capsys, wrong):
    assert main(["list", *wrong]) == 2
    assert "expected nothing, models or tasks" in capsys.readouterr().err


def test_help_of_show_and_list(capsys):
    assert main(["list", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: memcore list")
    with pytest.raises(SystemExit) as end:
        main(["show", "--task", "mqar", "--help"])
    assert end.value.code == 0
    assert "--task-options.pairs" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["list"], ["show", "--task", "copy", "--count", "1"]])
def test_neither_loads_what_trains(tmp_path, arguments):
    code = (
        f"import sys\nfrom memcore.cli import main\nassert main({arguments!r}) == 0\n"
        "print({'jax', 'grain', 'optax', 'orbax', 'flax', 'sklearn'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip().endswith("set()")
