"""The folder of a run, and the rules for entering one."""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from memcore.tasks import Packed, Task
from memcore.tasks.base.streams import look
from memcore.train.objective.config import Config, completed
from memcore.train.runs import lock
from memcore.train.runs.files import beside, drafts, read_json, read_yaml, write_json
from memcore.types import Value


class RunFolder:
    """Paths of a run's files, and whose run it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.metrics = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model.safetensors"
        self.curves = path / "curves.png"
        self.results = path / "results.json"
        self._files = (self.config, self.metrics, self.model, self.curves, self.results)

    def claim(self, config: Config) -> None:
        """Make this the folder of a run with this configuration; it may be so already.

        What a killed process left half written is removed. Raises FileExistsError where the folder holds
        anything else, BlockingIOError where another process trains in it.
        """
        if self.config.exists():
            self._compare(config)
        elif holds_other_things(self.path, self.config.name):
            raise FileExistsError(
                f"{self.path} exists and holds no run, expected a new or an empty folder; "
                "choose another one (--out)"
            )
        if self.results.exists():
            return
        with self.held():
            if self.config.exists():  # another process may have come first
                self._compare(config)
            else:
                write_json(self.config, config.to_json())
            kept = self._keep(config.task)
            for draft in drafts(self.path, *(file.name for file in (*self._files, *kept))):
                draft.unlink(missing_ok=True)

    def kept(self, option: str) -> Path:
        """The file of an option of the task that the folder keeps; see `TaskDefaults.keeps`."""
        return self.path / f"{option}.json"

    def _keep(self, task: Task) -> list[Path]:
        """Write the files that the folder keeps of a task, where they are not there; their paths.

        Raises FileExistsError where they are, and the task has something else now.
        """
        plain: Value = task.task if isinstance(task, Packed) else task
        files = {self.kept(option): option for option in getattr(plain, "keeps", ())}
        for path, option in files.items():
            content = plain.kept(option).encode()
            if not path.exists():
                with beside(path) as draft:
                    draft.write_bytes(content)
            elif path.read_bytes() != content:
                raise FileExistsError(
                    f"{path} is not the {option} of {plain.title} any more: its files have changed since the "
                    "run began; choose another folder (--out)"
                )
        return list(files)

    def held(self) -> AbstractContextManager[None]:
        """Inside, no other process trains here; see `lock.held`."""
        return lock.held(self.path)

    def _compare(self, config: Config) -> None:
        there, here = _of_today(completed(read_json(self.config))), config.to_json()
        if there != here:
            raise FileExistsError(
                f"{self.path} holds another run: {difference(there, here)}; "
                "choose another folder (--out), or remove this one"
            )

    def read_config(self, steps: int | None = None) -> Config:
        """The configuration of the run that is here, or the one with which it goes on to more steps.

        Raises FileNotFoundError where there is none, ValueError where it is broken, or has as many steps
        already.
        """
        if not self.config.exists():
            raise FileNotFoundError(f"{self.path} holds no run: there is no {self.config.name}")
        config = read_config(self.config)
        if steps is None:
            return config
        if steps <= config.steps:
            raise ValueError(
                f"steps is {steps}, expected more than the {config.steps} of {self.path}"
            )
        return replace(config, steps=steps)

    def extend(self, config: Config) -> None:
        """Let the run that is here go on as `read_config` gave; results of fewer steps go.

        Before anything is lost it raises where the run cannot go on: as `look` where its data is not as it
        should be, FileExistsError where the data has another vocabulary now.
        """
        look(config.task, config.segment, config.evaluate_rows)
        with self.held():
            self._keep(config.task)
            self.results.unlink(missing_ok=True)
            write_json(self.config, config.to_json())


def read_config(path: Path) -> Config:
    """The configuration in a file; ValueError naming it where it is broken."""
    values = read_yaml(path) if path.suffix in (".yaml", ".yml") else read_json(path)
    try:
        return Config.from_json(values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the configuration of a run: {error}") from error


def _of_today(values: dict[str, Value]) -> dict[str, Value]:
    """A configuration with the defaults of what its models and task got since; as it stands where nothing can
    be made of it."""
    try:
        return Config.from_json(values).to_json()
    except (KeyError, TypeError, ValueError, OSError, ImportError):
        return values


def holds_other_things(path: Path, first: str) -> bool:
    """Whether `path` is more than an empty folder, or one with drafts of `first`, its first file."""
    if not path.is_dir():
        return path.exists()
    there = [file for file in path.iterdir() if file.name not in lock.NAMES]
    return len(there) > len(drafts(path, first))


def difference(there: Value, here: Value, name: str = "") -> str:
    """The first place where two JSON values differ, in words."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *here]:
            if there.get(key) != here.get(key):
                return difference(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))
    return f"{name or 'all'} is {there!r} there, {here!r} here"
