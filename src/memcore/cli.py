"""The command line: `memcore COMMAND`. A command is imported when it is asked for."""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "bench": ("memcore.train.commands.bench", "time a model by method of execution"),
    "compare": ("memcore.train.commands.compare.command", "train several models, and compare them"),
    "evaluate": ("memcore.train.commands.evaluate", "evaluate a run on a split, at other lengths"),
    "generate": ("memcore.train.commands.generate", "go on with a text, by a run's model"),
    "list": ("memcore.train.commands.listing", "list models and tasks"),
    "predict": ("memcore.train.commands.predict", "what a run's model makes of inputs in a file"),
    "show": ("memcore.train.commands.show", "draw a few examples of a task"),
    "train": ("memcore.train.commands.command", "train a model on a task"),
}


COMPLETION = ("--tyro-print-completion", "--tyro-write-completion")
"""tyro's options for the completion of a shell."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the process's); returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    given, modules = _imports(given)
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        return 0 if given else 2
    if given[0] == "--version":
        import memcore

        print(f"memcore {memcore.__version__}")
        return 0
    if given[0] in COMPLETION:
        return _run("completion", given)
    if given[0] not in COMMANDS:
        near = difflib.get_close_matches(given[0], COMMANDS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        print(f"memcore: unknown command {given[0]!r}{hint}\n\n{usage()}", file=sys.stderr)
        return 2
    try:
        _load(modules)
    except ValueError as error:
        print(f"memcore {given[0]}: {error}", file=sys.stderr)
        return 2
    return _run(given[0], _spelled(given[1:]))


def usage() -> str:
    """What `memcore --help` prints."""
    commands = "\n".join(f"  {name:<10}{says}" for name, (_, says) in COMMANDS.items())
    return (
        "usage: memcore COMMAND [OPTIONS]\n\n"
        f"commands:\n{commands}\n\n"
        "memcore COMMAND --help shows a command's options, memcore --version the version.\n"
        "Every command takes --import MODULE, a module with models and tasks of your own.\n"
        "memcore --tyro-print-completion bash (or zsh, tcsh) prints what completes them in a shell."
    )


def _imports(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments without every `--import MODULE`, which any command may have, and the modules."""
    rest: list[str] = []
    modules: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        name, equals, value = argument.partition("=")
        if name == "--import":
            modules.append(value if equals else next(waiting, ""))
        else:
            rest.append(argument)
    return rest, modules


def _load(modules: list[str]) -> None:
    """Import the user's modules and the installed plugins; ValueError for one that cannot be named."""
    from memcore import plugins

    plugins.name(modules)
    for problem in plugins.load_installed():
        print(f"memcore: {problem}", file=sys.stderr)


DATA = ("--data", "--validation-data")
"""Options of tasks of one's own data, which are known without the name of their group."""


def _spelled(arguments: list[str]) -> list[str]:
    """The options of data under their full names."""
    return [
        f"--task-options.{argument[2:]}" if argument.partition("=")[0] in DATA else argument
        for argument in arguments
    ]


def _run(name: str, arguments: list[str]) -> int:
    try:
        place = f"memcore.train.commands.{name}" if name == "completion" else COMMANDS[name][0]
        command = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "memcore":
            raise
        needs = f"memcore {name}: no module {error.name}"
        print(f'{needs}: it needs memcore with its extra "train"', file=sys.stderr)
        return 2
    try:
        code: int = command.main(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has enough, as `head` has. What is left goes nowhere, or Python's own flush fails too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code
