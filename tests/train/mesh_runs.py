"""The same training on one device and on meshes of four, to be run where there are four; prints JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import jax

from memcore.cli import main
from memcore.registry import lookup
from memcore.tasks import RepeatFirst, batches
from memcore.tasks.base.streams import Segments
from memcore.train import Config, OptimizerOptions, evaluate, network, new_learner, run
from memcore.train.devices.placement import Placement, place
from memcore.train.learners import FRAMEWORKS

jax.config.update("jax_disable_most_optimizations", True)  # many small programs

ROWS, STEPS = 16, 20
PLACEMENTS = {
    "one": Placement(),
    "data": place([("data", 4)]),
    "sharded": place([("data", 4)], shard_parameters=True),
}


def config(**changes: Any) -> Config:
    """A GRU with one kernel that is large enough to be split, on rows of 16 steps."""
    task = RepeatFirst(length=8, episodes=2, symbols=3)
    model = network(task, lookup("gru")(32, hidden_size=48), layers=1)
    plain = Config(task=task, model=model, steps=STEPS, batch_size=ROWS, evaluate_rows=10)
    return replace(plain, **changes)


def trained(config: Config, placement: Placement) -> dict[str, Any]:
    """The losses of all steps, the one of ten rows, and how the arrays lie at the end."""
    learner = new_learner(config, placement=placement)
    how = {"batch_size": ROWS, "seed": config.seed}
    data = (
        Segments(config.task, "train", size=config.segment, **how)
        if config.segment
        else batches(config.task, **how)
    )
    sums = [learner.step(placement.rows(next(data))) for _ in range(STEPS)]
    # Ten rows do not divide: the batch is filled up.
    test = evaluate(learner, config.task, "test", ROWS, config.segment, 10, placement)
    return {
        "losses": [float(each["loss"]) / float(each["weight"]) for each in sums],
        "test": test["loss"],
        "params": pieces(learner.params),
        "memory": pieces(learner.memory),
        "state": pieces(learner.state),
    }


def pieces(tree: Any) -> list[tuple[list[int], list[int]]]:
    """Of every array its shape, and that of the piece which a device has."""
    return [
        (list(leaf.shape), list(leaf.sharding.shard_shape(leaf.shape)))
        for leaf in jax.tree.leaves(tree)
    ]


def resumed(folder: Path) -> dict[str, Any]:
    """A run of four devices, and how it goes on from its checkpoint on each number of devices."""
    begun = config(steps=8, checkpoint_every=4, validate_every=4)
    run(begun, folder / "begun", placement=PLACEMENTS["sharded"])
    found = {}
    for name, options in {
        "1": [],
        "4": ["--mesh", "data=4"],
        "2 sharded": ["--mesh", "data=2", "--shard-parameters"],
    }.items():
        copytree(folder / "begun", folder / name)
        assert main(["train", "--resume", str(folder / name), "--steps", "16", *options]) == 0
        lines = map(json.loads, (folder / name / "metrics.jsonl").read_text().splitlines())
        found[name] = [line["loss"] for line in lines]
    assert main(["evaluate", str(folder / "4"), "--evaluate-rows", "10"]) == 0
    return found


def compiled() -> int:
    """How many programs are made for the training step of segments on a mesh."""
    from memcore.train.learners.core import _step

    _step.clear_cache()
    trained(config(segment=4), PLACEMENTS["sharded"])
    return int(_step._cache_size())


if __name__ == "__main__":
    options = OptimizerOptions(average=0.9, accumulate=2)
    kinds: dict[str, dict[str, Any]] = {
        **{framework: {"framework": framework} for framework in FRAMEWORKS},
        "segments": {"segment": 4},
        "averaged": {"optimizer": options},
    }
    everything = {
        "trained": {
            kind: {
                name: trained(config(**changes), placement)
                for name, placement in PLACEMENTS.items()
                # On one device the frameworks do the same, which other tests show.
                if name != "one" or kind not in FRAMEWORKS[1:]
            }
            for kind, changes in kinds.items()
        },
        "resumed": resumed(Path(sys.argv[1])),
        "compiled": compiled(),
    }
    (Path(sys.argv[1]) / "found.json").write_text(json.dumps(everything))
