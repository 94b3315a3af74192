"""The folder of a run, and the rules for entering one."""

from pathlib import Path
from typing import Any

from memcore.train.config import Config
from memcore.train.files import read_json, write_json


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

    def claim(self, config: Config) -> None:
        """Make this the folder of a run with this configuration; it may be so already.

        Raises FileExistsError where it holds anything else.
        """
        if self.config.exists():
            there, here = read_json(self.config), config.to_json()
            if there != here:
                raise FileExistsError(
                    f"{self.path} holds another run: {difference(there, here)}; "
                    "choose another folder (--out), or remove this one"
                )
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise FileExistsError(
                f"{self.path} exists and holds no run, expected a new or an empty folder; "
                "choose another one (--out)"
            )
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.config, config.to_json())

    def read_config(self) -> Config:
        """The configuration of the run that is here.

        Raises FileNotFoundError where there is none, ValueError where it is broken.
        """
        if not self.config.exists():
            raise FileNotFoundError(f"{self.path} holds no run: there is no {self.config.name}")
        try:
            return Config.from_json(read_json(self.config))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self.config} is not the configuration of a run: {error}") from error


def difference(there: Any, here: Any, name: str = "") -> str:
    """The first place where two JSON values differ, in words."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *here]:
            if there.get(key) != here.get(key):
                return difference(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))
    return f"{name or 'all'} is {there!r} there, {here!r} here"
