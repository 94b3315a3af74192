"""The same training on one device and on meshes of up to eight, where there are so many; prints JSON."""

from __future__ import annotations

import io
import json
import re
import sys
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import jax

from memcore.cli import main
from memcore.registry import lookup
from memcore.tasks import ListOps, RepeatFirst, batches
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
    "time": place([("time", 4)]),
    "both": place([("time", 4), ("data", 2)], shard_parameters=True),
}


def config(**changes: Any) -> Config:
    """A GRU with one kernel that is large enough to be split, on rows of 16 steps."""
    task = RepeatFirst(length=8, episodes=2, symbols=3)
    model = network(task, lookup("gru")(32, hidden_size=48), layers=1)
    plain = Config(task=task, model=model, steps=STEPS, batch_size=ROWS, evaluate_rows=10)
    return replace(plain, **changes)


def apart(**changes: Any) -> Config:
    """The same with a model that runs in pieces."""
    model = network(config().task, lookup("lru")(32, state_size=128), layers=1)
    return config(**{"model": model, **changes})


def last() -> Config:
    """A hybrid on rows of which only the last step is asked."""
    task = ListOps(length=16, depth=2)
    hybrid = (lookup("lru")(32), lookup("attention")(32, heads=2, window=6))
    return apart(task=task, model=network(task, hybrid))


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


def resumed_in_time(folder: Path) -> dict[str, Any]:
    """A run of one device that goes on with time over four, and one device alone."""
    every = {"checkpoint_every": 4, "validate_every": 4}
    run(apart(steps=4, **every), folder / "whole")
    copytree(folder / "whole", folder / "pieces")
    found = {}
    for name, options in {"whole": [], "pieces": ["--mesh", "data=2,time=4"]}.items():
        assert main(["train", "--resume", str(folder / name), "--steps", "8", *options]) == 0
        lines = map(json.loads, (folder / name / "metrics.jsonl").read_text().splitlines())
        found[name] = [line["loss"] for line in lines]
    return found


def refused(folder: Path) -> dict[str, tuple[int, str, bool]]:
    """What the command line says of what cannot be: its code, its words, and whether it made a folder."""
    task = ["train", "--task", "repeat_first", "--task-options.length", "18"]
    task += ["--task-options.episodes", "2"]
    found = {}
    for name, options in {
        "steps": ["--model", "lru", "--mesh", "time=4"],
        "segment": ["--model", "lru", "--mesh", "time=4", "--segment", "6"],
        "rows": ["--model", "lru", "--mesh", "time=2,data=3"],
        "devices": ["--model", "lru", "--mesh", "time=4,data=4"],
        "gru": ["--model", "gru", "--mesh", "time=2"],
    }.items():
        out, said = folder / f"refused_{name}", io.StringIO()
        with redirect_stderr(said):
            code = main([*task, "--out", str(out), *options])
        found[name] = (code, said.getvalue(), out.exists())
    return found


def page() -> list[float]:
    """The losses of the block on training with time over devices, on all eight."""
    text = (Path(__file__).parents[2] / "docs" / "parallel.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    [block] = [block for block in blocks if '"time", jax.device_count()' in block]
    names: dict[str, Any] = {}
    exec(block, names)
    return list(names["losses"])


def compiled(config: Config, placement: Placement) -> int:
    """How many programs are made for the training step of segments on a mesh."""
    from memcore.train.learners.core import _step

    _step.clear_cache()
    trained(config, placement)
    return int(_step._cache_size())


if __name__ == "__main__":
    options = OptimizerOptions(average=0.9, accumulate=2)
    kinds: dict[str, dict[str, Any]] = {
        **{framework: {"framework": framework} for framework in FRAMEWORKS},
        "segments": {"segment": 4},
        "averaged": {"optimizer": options},
    }
    in_time = {
        "core": (apart(), ("one", "time", "both")),
        **{f: (apart(framework=f), ("both",)) for f in FRAMEWORKS[1:]},
        "segments": (apart(segment=4), ("one", "time")),
        "last": (last(), ("one", "both")),
    }
    everything = {
        "trained": {
            kind: {
                name: trained(config(**changes), PLACEMENTS[name])
                for name in ("one", "data", "sharded")
                # On one device the frameworks do the same, which other tests show.
                if name != "one" or kind not in FRAMEWORKS[1:]
            }
            for kind, changes in kinds.items()
        },
        "in_time": {
            name: {where: trained(made, PLACEMENTS[where]) for where in placements}
            for name, (made, placements) in in_time.items()
        },
        "resumed": resumed(Path(sys.argv[1])),
        "resumed_in_time": resumed_in_time(Path(sys.argv[1])),
        "page": page(),
        "refused": refused(Path(sys.argv[1])),
        "compiled": {
            "sharded": compiled(config(segment=4), PLACEMENTS["sharded"]),
            "both": compiled(apart(segment=4), PLACEMENTS["both"]),
        },
    }
    (Path(sys.argv[1]) / "found.json").write_text(json.dumps(everything))
