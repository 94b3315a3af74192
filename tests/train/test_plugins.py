"""Models and tasks of one's own on the command line."""

import json
import sys
from importlib.metadata import EntryPoint

import pytest

from memcore import plugins, tasks
from memcore.cli import main
from memcore.registry import registry

pytestmark = [pytest.mark.requires("tyro"), pytest.mark.backend("jax")]

MODULE = '''
from dataclasses import dataclass
import memcore
from memcore import tasks

@tasks.register("own_task")
@dataclass(frozen=True)
class OwnTask(tasks.Parity):
    """A task of one's own."""

@memcore.register("own_model")
@dataclass(frozen=True)
class OwnModel(memcore.GRU):
    """A model of one's own."""
'''
SMALL = [
    *("train", "--import", "own_module", "--task", "own_task", "--model", "own_model"),
    *("--cell.hidden-size", "8", "--width", "8", "--steps", "2", "--evaluate-rows", "4"),
    *("--task-options.length", "5", "--out", "run"),
]


@pytest.fixture
def forgotten(monkeypatch):
    """Forgets the module and what it registered, as another process would not know it."""

    def forget():
        sys.modules.pop("own_module", None)
        tasks.tasks.pop("own_task", None)
        if registry.known("own_model"):
            del registry["own_model"]
        plugins.name(())

    monkeypatch.setattr(sys, "path", list(sys.path))
    yield forget
    forget()


@pytest.fixture
def module(tmp_path, monkeypatch, forgotten):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_module.py").write_text(MODULE)


def test_a_module_is_imported_for_every_command(capsys, module):
    assert main(["list", "--import", "own_module"]) == 0
    printed = capsys.readouterr().out
    assert "A task of one's own" in printed and "A model of one's own" in printed
    assert main(["--import=own_module", "show", "--task", "own_task", "--count", "1"]) == 0


def test_a_run_keeps_the_module(capsys, module, forgotten):
    assert main(SMALL) == 0
    with open("run/config.json") as file:
        assert json.load(file)["imports"] == ["own_module"]
    forgotten()
    assert main(["train", "--resume", "run"]) == 0
    assert "own_model on own_task" in capsys.readouterr().out


def test_a_module_that_is_not_there_is_named(capsys, module, forgotten):
    assert main(["list", "--import", "no_module"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("memcore list: --import names 'no_module', which cannot be imported")
    assert error.count("\n") == 1
    with open("broken.py", "w") as file:
        file.write("import memcore\nmemcore.register('gru')(memcore.LRU)\n")
    assert main(["list", "--import", "broken"]) == 2
    assert "ValueError: name is 'gru', which already names" in capsys.readouterr().err


def test_plugins_that_are_installed(capsys, monkeypatch, module):
    found = [
        EntryPoint("own", "own_module", plugins.GROUP),
        EntryPoint("old", "no_module", plugins.GROUP),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: found)
    monkeypatch.syspath_prepend(".")
    assert main(["list", "models"]) == 0
    captured = capsys.readouterr()
    assert "own_model" in captured.out
    assert "memcore: the plugin old (no_module) cannot be imported: ModuleNotFound" in captured.err


def test_data_is_an_option_of_every_command(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["show", "--task", "array", "--data", "x.npz"]) == 2
    assert main(["show", "--task", "array", "--data=x.npz"]) == 2
    assert capsys.readouterr().err.count("data is x.npz, where there is no file") == 2
    assert main(["train", "--task", "array"]) == 2
    assert "data is None, expected a file .npz with xs and targets (--data" in (
        capsys.readouterr().err
    )
