"""`memcore show`."""

import subprocess
import sys

import numpy as np
import pytest

from memcore import tasks
from memcore.cli import main
from tasks import own_data

pytestmark = pytest.mark.requires("tyro", "matplotlib", "sklearn")


@pytest.mark.parametrize("task", sorted(tasks.tasks))
def test_a_picture_of_every_task(capsys, tmp_path, monkeypatch, task):
    from matplotlib.image import imread

    out = tmp_path / "pictures" / "x.png"
    options = []
    if task == "text":
        text = tmp_path / "text.txt"
        text.write_text("abcdefgh" * 200, encoding="utf-8")
        options = ["--task-options.path", str(text)]
    for name, value in own_data.options(task, tmp_path, monkeypatch).items():
        options += ["--data" if name == "data" else f"--task-options.{name}", str(value)]
    arguments = ["show", "--task", task, "--count", "1", "--steps", "40", "--out", str(out)]
    assert main([*arguments, *options]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    picture = imread(out)
    assert picture.shape[1:] == (1000, 4) and 100 < picture.shape[0] < 400
    assert len(np.unique(picture[..., :3].reshape(-1, 3), axis=0)) > 10
    assert [path.name for path in out.parent.iterdir()] == ["x.png"]


def test_a_picture_shows_the_asked_examples(tmp_path):
    from memcore.tasks.show import figure

    task = tasks.Packed(tasks.Parity(length=10), 2)
    drawn = figure(task, "test", first=3, count=2, steps=15)
    source = task.source("test")
    for index, axes in zip((3, 4), drawn.axes, strict=True):
        row, words = source[index], [text.get_text() for text in axes.texts]
        assert words[:15] == [str(token) for token in row["xs"][:15]]
        assert words[15:] == [("even", "odd")[target] for target in row["targets"][:15]]
        assert [line.get_xdata()[0] for line in axes.lines] == [-0.5, 9.5]


def test_the_picture_says_which_images_they_are(monkeypatch):
    from memcore.tasks.show import figure

    monkeypatch.delenv("MEMCORE_DATA", raising=False)
    drawn = figure(tasks.SMNIST(), "test", count=1)
    assert drawn.get_suptitle() == "smnist (8x8 digits), test 0 to 0: which digit is it?"


@pytest.mark.parametrize("task", sorted(set(tasks.tasks) - {"array", "csv", "hugging_face"}))
def test_every_title_says_what_is_asked(task):
    assert tasks.task_class(task).asks


def test_steps_and_classes_are_whole_numbers():
    from memcore.tasks.show import figure

    class Numbers(tasks.Parity):
        """Parity whose inputs are neither tokens nor one-hot vectors."""

        tokens, in_features, output_names = False, 1, ()

        def example(self, numbers):
            return {**super().example(numbers), "xs": np.float32(numbers[:, None] / 2)}

    above, below = figure(Numbers(length=3), "test", count=1).axes
    for axes in (above, below):
        assert [x for x in axes.get_xticks() if -0.5 < x < 2.5] == [0, 1, 2]
    assert [y for y in below.get_yticks() if -0.5 < y < 1.5] == [0, 1]


def test_an_image_is_drawn_as_an_image_with_the_path_of_its_pixels():
    from memcore.tasks.show import figure

    task = tasks.SMNIST(images="digits", permuted=True)
    row = task.source("train")[5]
    image, wave = figure(task, "train", first=5, count=1).axes
    pixels = image.images[0].get_array()
    np.testing.assert_array_equal(pixels.ravel()[task.order], row["xs"][:, 0])
    columns, rows = image.lines[0].get_data()
    np.testing.assert_array_equal(8 * rows + columns, task.order[: len(rows)])
    assert image.get_xlabel() == f"asked: {row['targets'][-1]}"
    np.testing.assert_array_equal(wave.lines[0].get_ydata(), row["xs"][:, 0])


def test_where_nothing_is_asked_early_the_end_is_shown():
    from memcore.tasks.show import figure

    task = tasks.MNISTMath(count=100)
    drawn = figure(task, "test", count=1)
    assert [axes.get_xlabel() for axes in drawn.axes[:-1]] == [""] * 7
    answer = task.source("test")[0]["targets"][-1]
    assert drawn.axes[-1].get_xlabel() == f"asked: {answer}"
    assert drawn.axes[-1].get_title() == "steps 6336 to 6399"
    part = figure(tasks.Digits(), "test", count=1, steps=40).axes[0]
    assert np.isnan(part.images[0].get_array().filled(np.nan)).sum() == 24


def test_symbols_have_names_and_heads_stand_below_each_other():
    from memcore.tasks.show import figure

    def words(task):
        return {text.get_text() for axes in figure(task, "train").axes for text in axes.texts}

    assert {"[MAX", "]", "·"} <= words(tasks.ListOps())
    assert {"(01)", "(01234)"} <= words(tasks.S5()) and {"+", "*"} <= words(
        tasks.ModularArithmetic()
    )
    axes = figure(tasks.NDMSHeads(n_max=5), "train", count=1).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["input", "N = 2", "N = 3", "N = 4", "N = 5"]


def test_many_numbers_are_an_image_with_gaps_where_nothing_is_asked():
    from memcore.tasks.show import figure

    numbers = np.random.RandomState(0).normal(size=(9, 5, 8))
    task = tasks.ArrayTask(numbers, numbers, weights=np.tile([0, 1, 1, 1, 1], (9, 1)))
    above, below, *_ = figure(task, "train", count=1).axes
    (shown,) = below.images
    row = task.source("train")[0]["targets"]
    np.testing.assert_array_equal(shown.get_array()[:, 1:], row[1:].T)
    assert shown.get_array().mask[:, 0].all() and not below.patches
    assert not above.images[0].get_array().mask.any()


def test_a_class_of_minus_100_is_not_asked_for():
    from memcore.tasks.show import figure

    class Ignores(tasks.Parity):
        """Parity that asks at every other step."""

        def example(self, numbers):
            row = super().example(numbers)
            row["targets"][::2] = -100
            return row

    words = [text.get_text() for text in figure(Ignores(length=4), "train", count=1).axes[0].texts]
    assert words[4::2] == ["", ""] and set(words[5::2]) <= {"even", "odd"}


def test_a_home_folder_is_that_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["show", "--task", "copy", "--count", "1", "--out=~/x.png"]) == 0
    assert (tmp_path / "x.png").is_file()


def test_characters_that_the_font_lacks_are_their_code_points(tmp_path):
    from memcore.tasks.show import figure

    path = tmp_path / "x.txt"
    path.write_text("a$b$ \n中" * 200, encoding="utf-8")
    drawn = figure(tasks.Text(path=str(path)), "train", count=1)
    words = [text.get_text() for text in drawn.axes[0].texts][:7]
    assert words == ["a", "$", "b", "$", "␣", "⏎", "4e2d"]
    drawn.canvas.draw()  # a dollar is no formula, and no glyph is missing


def test_numbers_have_a_legend_and_poses_a_path():
    from memcore.tasks.show import figure

    above, below = figure(tasks.Lorenz63(length=8), "train", count=1).axes
    for axes in (above, below):
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["x", "y", "z"]
    task = tasks.Localization()
    turns, moves, plane, *_ = figure(task, "train", count=1).axes
    assert turns.get_legend() and moves.get_legend()
    path = task.source("train")[0]["targets"][:, 6:8] * task.reach
    np.testing.assert_allclose(plane.lines[0].get_xydata(), [[0, 0], *path], rtol=1e-6)


@pytest.mark.parametrize(
    ("ending", "begins"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")]
)
def test_the_ending_decides_the_format(tmp_path, ending, begins):
    path = tmp_path / f"x.{ending}"
    assert main(["show", "--task", "copy", "--count", "1", "--out", str(path)]) == 0
    assert path.read_bytes().startswith(begins)


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
    "ending": (["--out", "x.foo"], "out is 'x.foo', which ends in '.foo', expected one of .avif"),
    "no ending": (["--out", "x"], "out is 'x', which has no ending, expected one of .avif"),
    "path": (["--task", "text"], "data is None, expected a text file"),
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


def test_help_of_show(capsys):
    with pytest.raises(SystemExit) as end:
        main(["show", "--task", "mqar", "--help"])
    assert end.value.code == 0
    assert "--task-options.pairs" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["list"], ["list", "--models"], ["show", "--task", "copy", "--count", "1"]]
)
def test_neither_loads_what_trains(tmp_path, arguments):
    code = (
        f"import sys\nfrom memcore.cli import main\nassert main({arguments!r}) == 0\n"
        "print({'jax', 'grain', 'optax', 'orbax', 'flax', 'sklearn'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip().endswith("set()")
