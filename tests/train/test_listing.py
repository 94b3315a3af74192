"""`memcore list`, and what completes commands in a shell."""

import subprocess

import pytest

from memcore import tasks
from memcore.cli import main
from memcore.registry import alone, registry
from memcore.train.commands.listing import cost

pytestmark = pytest.mark.requires("tyro")


def test_list_has_a_line_for_every_model_and_task(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    known = [line.split() for line in printed.splitlines() if line.startswith("  ")]
    assert [words[0] for words in known] == [*sorted(registry), *sorted(tasks.tasks)]
    assert all(len(words) > 3 for words in known)
    assert main(["list", "tasks"]) == 0
    assert capsys.readouterr().out == printed[printed.index("tasks:") :]


def rows(capsys, *options):
    assert main(["list", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line.split() for line in lines[1:-1]}


def test_a_table_of_the_models(capsys):
    found = rows(capsys, "--models")
    assert set(found) == set(alone())
    assert found["gru"][:3] == ["gru", "gated", "64"]
    assert found["lstm"][2] == "128" and found["attention"][2] == "8,256"
    assert found["lru"][-1] == "fused" and "associative," in found["lru"]
    assert found["residual_stack"][1] == "compose"


def test_the_models_of_a_family(capsys):
    gated = {name for name, cls in registry.items() if ".models.gated." in cls.__module__}
    assert set(rows(capsys, "--family", "gated")) == gated
    assert main(["list", "--family", "gatd"]) == 2
    assert (
        "family is 'gatd', expected one of compose, dense, diagonal, gated"
        in capsys.readouterr().err
    )


def test_the_documentation_of_every_cell_says_what_a_step_costs():
    for name, cls in alone().items():
        if ".models." in cls.__module__:
            assert cost(cls), name


@pytest.mark.parametrize("wrong", [["modles"], ["models", "tasks"]])
def test_list_of_something_else(capsys, wrong):
    with pytest.raises(SystemExit) as end:
        main(["list", *wrong])
    assert end.value.code == 2
    assert wrong[-1] in capsys.readouterr().err


@pytest.mark.backend("jax")
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_and_options(capsys, tmp_path, shell):
    with pytest.raises(SystemExit) as end:
        main(["--tyro-print-completion", shell])
    assert not end.value.code
    script = capsys.readouterr().out
    assert "--cell.state-size" in script and "gated_delta_net" in script
    if shell == "bash":
        path = tmp_path / "completion"
        path.write_text(script)
        lines = (
            f"source {path}; COMP_WORDS=(memcore tr); COMP_CWORD=1; _tyro_memcore; echo $COMPREPLY"
        )
        done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "train"
