"""Optimizers and schedules by name, gradients of several batches, and that compare takes them too."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from memcore.tasks.base.streams import Segments
from memcore.train import OptimizerOptions, run
from memcore.train.commands.compare.command import main
from memcore.train.learners import average, new_learner
from memcore.train.objective.optimizer import make_optimizer, rates
from memcore.train.runs.folder import RunFolder
from train.small import assert_same, lines

pytestmark = [pytest.mark.backend("jax"), pytest.mark.requires("tyro", "optax", "grain", "orbax")]

FRAMEWORKS = ("core", "equinox", "linen", "nnx")
LABELS = {"a": "matrix", "b": "bias"}
PARAMS = {"a": jnp.ones((2, 3)), "b": jnp.ones(2)}
GRADIENTS = {"a": jnp.arange(6.0).reshape(2, 3) / 10, "b": jnp.asarray([0.3, -0.1])}
PLAIN = {"learning_rate": 0.1, "warmup": 0.0, "weight_decay": 0.0, "schedule": "constant"}


def direction(name: str):
    """The first update's direction, of gradients that need no clipping."""
    optimizer = make_optimizer(OptimizerOptions(optimizer=name, **PLAIN), 10, LABELS)
    updates, _ = optimizer.update(GRADIENTS, optimizer.init(PARAMS), PARAMS)
    return jax.tree.map(lambda u: np.asarray(u) / -0.1, updates)


def test_every_optimizer_is_that_of_optax():
    matrix, bias = np.asarray(GRADIENTS["a"]), np.asarray(GRADIENTS["b"])
    np.testing.assert_allclose(direction("sgd")["a"], matrix, rtol=1e-5)
    np.testing.assert_allclose(direction("lion")["a"], np.sign(matrix), rtol=1e-5)
    np.testing.assert_allclose(direction("adamw")["b"], np.sign(bias), rtol=1e-4)
    muon = optax.contrib.muon(1.0)  # of two rows and three columns: its shape scales nothing
    with jax.numpy_dtype_promotion("standard"):
        wanted, _ = muon.update(GRADIENTS, muon.init(PARAMS), PARAMS)
    found = direction("muon")["a"]
    np.testing.assert_allclose(
        found / np.linalg.norm(found), -wanted["a"] / np.linalg.norm(wanted["a"]), rtol=1e-4
    )
    np.testing.assert_allclose(direction("muon")["b"], np.sign(bias), rtol=1e-4)


@pytest.mark.parametrize(
    ("schedule", "middle", "last"),
    [("constant", 1, 1), ("linear", 0.5, 0.1), ("cosine", 0.5, 0.02)],
)
def test_schedules(schedule, middle, last):
    options = OptimizerOptions(learning_rate=1.0, warmup=0.5, schedule=schedule)
    found = rates(options, 20)
    np.testing.assert_allclose(found[:11], np.linspace(0, 1, 11), rtol=1e-6)
    assert found[15] == pytest.approx(middle) and found[-1] == pytest.approx(last, abs=0.01)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ["lion", "muon", "sgd"])
def test_every_framework_trains_with_it(config, framework, name):
    options = replace(config.optimizer, optimizer=name, learning_rate=1e-3, warmup=0.0)
    stream = Segments(config.task, "train", batch_size=20, size=8)
    batch = next(stream)
    ends = []
    for chosen in {"core", framework}:
        learner = new_learner(replace(config, framework=chosen, optimizer=options))
        losses = [float(learner.step(batch)["loss"]) for _ in range(3)]
        assert losses[-1] < losses[0]
        ends.append(learner.params)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
    jax.tree.map(close, ends[0], ends[-1])


def test_gradients_of_several_batches_are_one_of_all(config):
    """Two batches of ten make the update of one of twenty; its rate is that of the first step."""
    ends = []
    stream = Segments(config.task, "train", batch_size=20, size=8)
    whole = next(stream)
    for accumulate in (1, 2):
        changed = {"accumulate": accumulate, "average": 0.5, "warmup": 0.0}
        learner = new_learner(replace(config, optimizer=replace(config.optimizer, **changed)))
        for part in range(accumulate):
            rows = slice(part * 20 // accumulate, (part + 1) * 20 // accumulate)
            learner.step({key: value[rows] for key, value in whole.items()})
        ends.append((learner.params, average(learner)))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)  # noqa: E731
    jax.tree.map(close, *ends)


def test_a_run_that_accumulates(config, tmp_path, console, stop_after):
    """A step is an update, whatever it is made of; an interrupted run goes on exactly."""
    options = replace(config.optimizer, accumulate=3, average=0.5)
    config = replace(config, batch_size=20, evaluate_rows=20, optimizer=options)
    assert run(config, tmp_path / "whole", console).steps == 6
    train = [line for line in lines(tmp_path / "whole") if line["split"] == "train"]
    assert [line["step"] for line in train] == [1, 2, 3, 4, 5, 6]
    assert all(line["update_norm"] > 0 for line in train[1:])
    stop_after(8)  # amid the third step, which is finished first
    assert run(config, tmp_path / "parts", console) is None
    assert "interrupted after step 3" in console.export_text()
    run(config, tmp_path / "parts", console)
    assert_same(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adam"}, "optimizer is 'adam', expected one of adamw, lion, muon, sgd"),
        ({"schedule": "step"}, "schedule is 'step', expected one of constant, cosine, linear"),
        ({"accumulate": 0}, "accumulate is 0, expected 1 or more"),
    ],
)
def test_names_that_are_unknown(options, message):
    with pytest.raises(ValueError, match=message):
        OptimizerOptions(**options)


def test_compare_takes_the_same_options(tmp_path, capsys):
    folder = tmp_path / "compared"
    small = ["--task", "repeat_first", "--models", "gru", "--positions", "none", "--steps", "2"]
    few = ["--width", "8", "--layers", "1", "--evaluate-rows", "32", "--out", str(folder)]
    chosen = ["--optimizer", "lion", "--schedule", "linear", "--clip", "0.5", "--monitor", "metric"]
    assert main([*small, *few, *chosen]) == 0
    [entry] = (folder / "runs").iterdir()
    config = RunFolder(entry).read_config()
    wanted = OptimizerOptions(optimizer="lion", schedule="linear", clip=0.5)
    assert config.optimizer == wanted and config.monitor == "metric"
    assert main([*small, *few]) == 2
    assert "another comparison: monitor is 'metric' there" in capsys.readouterr().err
