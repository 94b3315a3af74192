"""The command line: its help, its errors, its exit codes."""

import json
import os
import signal
import subprocess
import sys

import pytest

from memcore.cli import main

pytestmark = pytest.mark.requires("tyro")

SMALL = [
    *("train", "--task", "repeat_first", "--task-options.length", "8"),
    *("--task-options.episodes", "2", "--model", "gru", "--cell.hidden-size", "6"),
    *("--width", "8", "--layers", "1", "--steps", "3", "--batch-size", "512"),
]


def test_help_of_the_program_loads_nothing():
    code = (
        "import sys\nfrom memcore.cli import main\nassert main(['--help']) == 0\n"
        "print({'jax', 'grain', 'optax', 'tyro', 'flax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: memcore COMMAND")
    assert done.stdout.strip().endswith("set()")


def test_help_of_train_loads_neither_jax_nor_grain():
    code = (
        "import sys\nfrom memcore.cli import main\n"
        "try:\n    main(['train', '--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print({'jax', 'grain', 'optax', 'orbax', 'flax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("set()")


def test_help_shows_every_field_of_model_and_task(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--model", "attention", "--task", "repeat_first", "--help"])
    text = capsys.readouterr().out
    for option in ("--cell.window", "--cell.heads", "--cell.position", "--task-options.episodes"):
        assert option in text
    assert "--learning-rate" in text and "--cell.in-features" not in text
    assert "number of heads" in text


def test_every_model_has_options(capsys):
    from memcore.registry import alone

    for name in alone():
        with pytest.raises(SystemExit) as end:
            main(["train", "--model", name, "--help"])
        assert end.value.code == 0, name
    capsys.readouterr()


def test_every_model_makes_a_configuration():
    from memcore.registry import alone, name_of
    from memcore.train.commands.parse import parse
    from memcore.train.objective.config import Config

    for name, model in alone().items():
        plan = parse(["--model", name, "--width", "32", "--position", "none"])
        config, folder = plan.config, plan.folder
        assert type(config.model.model) is model and config.model.model.in_features == 32
        assert name_of(config.model) == "residual_stack" and config.model.position is None
        assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config
        assert str(folder) == f"runs/digits-{name}-core-0/1"


def test_version(capsys):
    import memcore

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"memcore {memcore.__version__}\n"


def test_without_a_command_the_usage(capsys):
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("usage: memcore COMMAND")


ERRORS = {
    "command": (["trian"], "unknown command 'trian'; did you mean train?"),
    "model": (["train", "--model", "grru"], "model is 'grru'"),
    "task": (["train", "--task", "digit"], "unknown task 'digit'; did you mean digits?"),
    "resume and others": (["train", "--resume", "x", "--seed", "3"], "takes no other option"),
    "no run": (["train", "--resume", "nowhere"], "nowhere holds no run"),
    "cell": (["train", "--model", "gru", "--cell.hidden-size", "0"], "hidden_size is 0"),
    "steps": (["train", "--steps", "0"], "steps is 0, expected 1 or more"),
    "width": (["train", "--width", "0"], "memcore train: width is 0, expected 1 or more"),
    "layers": (["train", "--layers", "0"], "memcore train: layers is 0, expected 1 or more"),
    "pack": (["train", "--pack", "0"], "memcore train: pack is 0, expected 1 or more"),
    "tokens in a stack": (
        ["train", "--model", "residual_stack", "--cell.tokens"],
        "model reads tokens, expected models of vectors in a stack",
    ),
    "batch": (["train", "--batch-size", "1294"], "batch_size is 1294, expected 1 to 1293"),
    "data": (["train", "--task", "smnist", "--task-options.folder", "no"], "no folder "),
    "a row too long": (
        [
            *("train", "--task", "mnist_math", "--task-options.count", "1000000"),
            "--position",
            "none",
        ],
        "or --segment on the command line",
    ),
    "a row too long to compare": (
        ["compare", "--task", "mnist_math", "--task-options.count", "1000000", "--models", "gru"],
        "or --segment on the command line",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.backend("jax")
def test_an_error_is_one_line_and_leaves_nothing(capsys, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    arguments, message = ERRORS[case]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("memcore") and message in captured.err
    assert not list(tmp_path.iterdir())


REFUSED = {
    "unknown option": (["train", "--cell.hiden-size", "3"], "--cell.hidden-size"),
    "framework": (["train", "--framework", "torch"], "invalid choice 'torch'"),
    "task option": (
        ["train", "--task", "repeat_first", "--task-options.symbols", "1"],
        "symbols is 1, expected at least 2",
    ),
    "optimizer": (["train", "--clip", "0"], "clip is 0.0, expected more than 0"),
    "a count": (
        ["train", "--task", "mnist_math", "--task-options.count", "7"],
        "expected one of 5, 100, 1000,",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_tyro_refuses_ends_with_2(capsys, case):
    arguments, message = REFUSED[case]
    with pytest.raises(SystemExit) as end:
        main([*arguments[:1], "--model", "gru", *arguments[1:]])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.backend("jax")
def test_a_stack_in_the_stack(capsys, tmp_path):
    small = [*SMALL, "--model", "residual_stack", "--cell.layers", "1", "--out", str(tmp_path)]
    small = [option for option in small if option not in ("--cell.hidden-size", "6")]
    assert main([*small, "--steps", "1"]) == 0
    assert "1 x 1 x gru on repeat_first" in capsys.readouterr().out


@pytest.mark.backend("jax")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_code_is_that_of_the_signal(capsys, tmp_path, stop_after, number, code):
    compare = [
        *("compare", "--task", "repeat_first", "--models", "gru", "--positions", "none"),
        *("--width", "8", "--layers", "1", "--steps", "3"),
    ]
    for name, arguments in (("train", SMALL), ("compare", compare)):
        stop_after(2, number)
        assert main([*arguments, "--out", str(tmp_path / name)]) == code
    assert "interrupted; the same command goes on" in capsys.readouterr().out


@pytest.mark.backend("jax")
def test_a_folder_from_home(capsys, tmp_path, monkeypatch, stop_after):
    """Shells leave the `~` of `--out=~/x` to the program."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    stop_after(2)
    assert main([*SMALL, "--out=~/run"]) == 130
    assert main(["train", "--resume=~/run"]) == 0
    small = ["--task", "repeat_first", "--models", "gru", "--positions", "none", "--steps", "1"]
    assert main(["compare", *small, "--out=~/compared"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compared", "run"]


@pytest.mark.backend("jax")
def test_train_interrupt_and_resume(capsys, tmp_path, monkeypatch, stop_after):
    monkeypatch.chdir(tmp_path)
    stop_after(2)
    assert main(SMALL) == 130
    folder = "runs/repeat_first-gru-core-0/1"
    assert f"memcore train --resume {folder}" in capsys.readouterr().out
    assert main(["train", "--resume", folder]) == 0
    printed = capsys.readouterr().out
    assert "1 x gru on repeat_first" in printed and f"curves: {folder}" in printed
    results = json.loads((tmp_path / folder / "results.json").read_text())
    assert results["steps"] == 3

    assert main([*SMALL, "--position", "none", "--out", folder]) == 2
    assert "holds another run: model.position is 'learned' there" in capsys.readouterr().err


def test_a_missing_package_is_named_with_the_extra(capsys, monkeypatch, forget):
    forget("memcore.train")
    monkeypatch.setitem(sys.modules, "tyro", None)
    assert main(["train"]) == 2
    assert 'no module tyro: it needs memcore with its extra "train"' in capsys.readouterr().err


def test_a_reader_that_has_enough():
    """`memcore list | head`: the pipe's other end is closed before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from memcore.cli import main; sys.exit(main(['list']))"
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_ctrl_c_before_training_begins(monkeypatch):
    from memcore.train.commands import command

    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "main", interrupted)
    assert main(["train"]) == 130
