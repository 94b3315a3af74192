"""A configuration that trains in a second: one small layer on short rows."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from memcore.registry import lookup
from memcore.tasks import RepeatFirst
from memcore.train import Config, OptimizerOptions, network


def small_config() -> Config:
    """Six steps; checks and checkpoints after the fourth and the last."""
    task = RepeatFirst(length=8, episodes=2, symbols=3)
    model = network(task, lookup("gru")(8, hidden_size=8), layers=1)
    return Config(
        task=task,
        model=replace(model, mlp_factor=1.0),
        steps=6,
        batch_size=600,
        optimizer=OptimizerOptions(learning_rate=1e-2),
        validate_every=4,
        checkpoint_every=4,
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a run, times excepted: what two equal runs have in common to the last bit."""
    found = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    times = ("seconds", "tokens_per_second")
    return [{key: v for key, v in line.items() if key not in times} for line in found]


def assert_same(one: Path, other: Path) -> None:
    """Two runs have the same metrics, times excepted, and the same parameters."""
    assert lines(one) == lines(other)
    name = "model.safetensors"
    assert (one / name).read_bytes() == (other / name).read_bytes()
