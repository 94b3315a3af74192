"""The parts of training: loss, evaluation, optimizer, metrics, progress, learners."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memcore.tasks import RepeatFirst
from memcore.train.learners import make_learner, new_learner
from memcore.train.objective.config import OptimizerOptions
from memcore.train.objective.objective import Objective
from memcore.train.objective.optimizer import make_optimizer
from memcore.train.runs.evaluation import evaluate, means
from memcore.train.runs.metrics import Metrics
from memcore.train.runs.pace import Pace

pytestmark = pytest.mark.backend("jax")


def test_loss_counts_by_weight():
    random = np.random.RandomState(0)
    logits = random.normal(size=(2, 3, 4)).astype(np.float32)
    targets = random.randint(4, size=(2, 3)).astype(np.int32)
    weights = np.array([[0, 1, 0.5], [0, 0, 1]], np.float32)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    losses = -np.log(np.take_along_axis(chances, targets[..., None], -1)[..., 0])
    total = Objective().sums(jnp.asarray(logits), targets, weights)
    assert float(total["loss"]) == pytest.approx((losses * weights).sum(), rel=1e-5)
    assert float(total["score"]) == ((logits.argmax(-1) == targets) * weights).sum()
    assert float(total["weight"]) == 2.5
    batch = {"xs": logits, "starts": None, "targets": targets, "weights": weights}
    apply = lambda xs, state, starts: (state, jnp.asarray(xs))  # noqa: E731
    mean, (same, carry) = Objective().run(apply, batch, None)
    assert float(mean) == pytest.approx(float(total["loss"]) / 2.5)
    assert float(same["loss"]) == float(total["loss"]) and carry is None
    nothing, _ = Objective().run(apply, {**batch, "weights": 0 * weights}, None)
    assert float(nothing) == 0


def test_bits_per_byte():
    random = np.random.RandomState(0)
    logits = random.normal(size=(2, 3, 4)).astype(np.float32)
    targets = random.randint(4, size=(2, 3)).astype(np.int32)
    weights = np.array([[0, 1, 1], [0, 0, 1]], np.float32)
    sizes = np.array([[5, 1, 3], [7, 9, 0]], np.float32)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    bits = -np.log2(np.take_along_axis(chances, targets[..., None], -1)[..., 0])
    total = Objective().sums(jnp.asarray(logits), targets, weights, sizes)
    assert float(total["score"]) == pytest.approx((bits * weights).sum(), rel=1e-5)
    assert float(total["size"]) == 4 and float(total["weight"]) == 3
    found = means({key: float(value) for key, value in total.items()}, "bits_per_byte")
    assert found["bits_per_byte"] == pytest.approx((bits * weights).sum() / 4, rel=1e-5)


def test_the_other_losses():
    random = np.random.RandomState(0)
    outputs = random.normal(size=(2, 3, 4)).astype(np.float32)
    weights = np.ones((2, 3), np.float32)
    targets = random.randint(4, size=(2, 3)).astype(np.int32)
    signs = np.where(targets[..., None] == np.arange(4), 1, -1)
    hinge = (np.maximum(0, 1 - signs * outputs) ** 2).sum()
    total = Objective("squared_hinge").sums(jnp.asarray(outputs), targets, weights)
    assert float(total["loss"]) == pytest.approx(hinge, rel=1e-5)
    assert float(total["score"]) == (outputs.argmax(-1) == targets).sum()
    numbers = random.normal(size=(2, 3, 4)).astype(np.float32)
    total = Objective("mse").sums(jnp.asarray(outputs), numbers, weights)
    assert float(total["loss"]) == pytest.approx(
        ((outputs - numbers) ** 2).mean(-1).sum(), rel=1e-5
    )
    assert float(total["score"]) == float(total["loss"])
    with pytest.raises(ValueError, match="loss is 'hinge', expected one of cross_entropy"):
        Objective("hinge")


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
@pytest.mark.parametrize("label", [-100, 255, -1])
def test_a_class_that_is_not_asked_for_weighs_nothing(loss, label):
    """Labels and outputs of weight zero change neither the sums nor a gradient, whatever they are."""
    random = np.random.RandomState(0)
    outputs = random.normal(size=(1, 4, 3)).astype(np.float32)
    targets, weights = np.array([[1, 2, 0, 1]], np.int32), np.array([[1, 1, 0, 0]], np.float32)
    spoilt = np.where(weights[..., None] > 0, outputs, np.nan).astype(np.float32)
    labels = np.where(weights > 0, targets, label).astype(np.int32)
    # Only -100 is left out by itself; another label needs the weight.
    given = np.ones_like(weights) if label == -100 else weights
    value = lambda outputs, *others: Objective(loss).sums(outputs, *others)["loss"]  # noqa: E731
    expected = value(jnp.asarray(outputs[:, :2]), targets[:, :2], weights[:, :2])
    total = Objective(loss).sums(jnp.asarray(spoilt), labels, given)
    assert float(total["loss"]) == pytest.approx(float(expected), rel=1e-6)
    assert float(total["weight"]) == 2
    gradient = jax.grad(value)(jnp.asarray(spoilt), labels, given)
    assert np.isfinite(gradient).all() and not gradient[0, 2:].any() and gradient[0, :2].any()


@pytest.mark.parametrize("loss", ["mse", "pose"])
def test_numbers_of_weight_zero_may_be_anything(loss):
    random = np.random.RandomState(0)
    outputs, targets = random.normal(size=(2, 1, 3, 9)).astype(np.float32)
    weights = np.array([[1, 0, 1]], np.float32)
    expected = Objective(loss).sums(jnp.asarray(outputs), targets, weights)
    outputs[0, 1], targets[0, 1] = np.nan, np.inf
    total = Objective(loss).sums(jnp.asarray(outputs), targets, weights)
    assert float(total["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-6)


def test_the_pose_loss_is_angle_and_distance():
    """A quarter turn and a step of length 3."""
    eye, turned = [1, 0, 0, 0, 1, 0], [0, 1, 0, -1, 0, 0]
    one = jnp.asarray([[[*eye, 0.0, 0.0, 0.0]]])
    other = jnp.asarray([[[*turned, 1.0, 2.0, 2.0]]])
    total = Objective("pose").sums(one, other, jnp.ones((1, 1)))
    assert float(total["loss"]) == pytest.approx(np.pi / 2 + 9, rel=1e-6)


class FirstFeature:
    """Scores a step by its first input; the sums are NumPy's."""

    carry = None

    def evaluate(self, batch):
        assert len(batch["xs"]) == 300
        hits = (batch["xs"][..., 0] == (batch["targets"] == 0)) * batch["weights"]
        return {"loss": hits.sum() * 2, "score": hits.sum(), "weight": batch["weights"].sum()}


def test_evaluation_covers_a_split_with_its_partial_batch():
    task = RepeatFirst(length=6, episodes=2, symbols=3)
    source = task.source("test")
    rows = [source[index] for index in range(len(source))]
    hits = [(row["xs"][:, 0] == (row["targets"] == 0))[row["weights"] > 0] for row in rows]
    values = evaluate(FirstFeature(), task, "test", batch_size=300)
    assert values["accuracy"] == np.concatenate(hits).mean()
    assert values["loss"] == 2 * values["accuracy"]


def test_a_batch_larger_than_the_split_evaluates_it_at_once(config):
    learner = new_learner(config)
    one = evaluate(learner, config.task, "test", batch_size=5_000)
    other = evaluate(learner, config.task, "test", batch_size=100)
    assert one["accuracy"] == other["accuracy"]
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)


PARAMS = {"a": jnp.ones((2, 2)), "b": jnp.ones(2), "r": jnp.ones(2), "s": jnp.ones(2)}
LABELS = {"a": "matrix", "b": "bias", "r": "recurrence", "s": "scale"}


def updates_after(options, gradients, steps=10, count=1):
    optimizer = make_optimizer(options, steps, LABELS)
    state = optimizer.init(PARAMS)
    for _ in range(count):
        updates, state = optimizer.update(gradients, state, PARAMS)
    return updates


def test_only_matrices_decay():
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    options = OptimizerOptions(learning_rate=0.1, warmup=0.0, weight_decay=0.5)
    updates = updates_after(options, zero)
    np.testing.assert_allclose(updates["a"], -0.05 * np.ones((2, 2)), rtol=1e-6)
    for name in "brs":
        np.testing.assert_array_equal(updates[name], np.zeros(2))


def test_recurrences_learn_more_slowly():
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    options = OptimizerOptions(learning_rate=0.1, warmup=0.0, weight_decay=0.0, recurrence_rate=0.2)
    updates = updates_after(options, ones)
    np.testing.assert_allclose(updates["b"], -0.1 * np.ones(2), rtol=1e-4)
    np.testing.assert_allclose(updates["r"], -0.02 * np.ones(2), rtol=1e-4)


def test_the_rate_rises_then_falls_to_nothing():
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    options = OptimizerOptions(learning_rate=0.1, warmup=0.5, weight_decay=0.0)
    # One update more than there are steps: the cosine ends at zero after the last one.
    rates = [-float(updates_after(options, ones, 10, n)["b"][0]) for n in range(1, 12)]
    assert rates[0] == 0 and rates[-1] == pytest.approx(0, abs=1e-8)
    assert max(rates) == rates[5] == pytest.approx(0.1, rel=1e-3)
    assert rates == sorted(rates[:6]) + sorted(rates[6:], reverse=True)


def test_gradients_are_clipped_by_their_norm():
    """Adam forgets a common factor of all gradients: the second one alone is a thousand times longer."""
    gradients = jax.tree.map(lambda x: x / 2, PARAMS)  # of norm sqrt(2.5)
    optimizer = make_optimizer(OptimizerOptions(warmup=0.0, clip=1.0), 10, LABELS)
    results = []
    for factor in (1, 1_000):
        _, state = optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)
        longer = jax.tree.map(lambda x, factor=factor: x * factor, gradients)
        results.append(optimizer.update(longer, state, PARAMS)[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *results)


def test_labels_fit_a_tree_that_wraps_the_parameters():
    wrapped = {"memory": PARAMS}
    optimizer = make_optimizer(OptimizerOptions(), 10, LABELS)
    optimizer.update(wrapped, optimizer.init(wrapped), wrapped)


def test_metrics_rewind_and_leave_out_a_line_cut_off(tmp_path):
    metrics = Metrics(tmp_path / "metrics.jsonl", "accuracy", [0.1, 0.2, 0.3, 0.4])
    assert metrics.read() == [] and metrics.flush() == {}
    norms = {"gradient_norm": 3.0, "update_norm": 0.25}
    for step in range(1, 5):
        metrics.train(step, {"loss": 2.0 * step, "score": 1.0, "weight": 2.0, **norms})
    metrics.check(4, "validation", {"loss": 0.5, "accuracy": 1.0})
    assert metrics.flush() == {"loss": 4.0, "accuracy": 0.5, "learning_rate": 0.4, **norms}
    with metrics.path.open("a") as file:
        file.write('{"step": 5, "spl')
    metrics.rewind(3)
    assert [line["step"] for line in metrics.read()] == [1, 2, 3]
    metrics.rewind(0)
    assert metrics.path.read_text() == ""


def test_the_pace_goes_on_where_it_was():
    assert Pace().mean is None
    pace = Pace()
    for _ in range(3):
        pace.step()
    pace.pause()
    steps, seconds = pace.timed
    assert steps == 2 and pace.mean == seconds / 2
    assert Pace(*pace.timed).mean == pace.mean


def test_an_unknown_framework_is_refused():
    with pytest.raises(ValueError, match="framework is 'torch', expected one of core, equinox"):
        make_learner("torch", None, None, None, None)


@pytest.mark.parametrize(
    ("framework", "package", "extra"),
    [
        ("equinox", "equinox", "equinox"),
        ("linen", "flax", "flax"),
        ("nnx", "flax", "flax"),
    ],
)
def test_a_missing_framework_is_named_with_its_extra(
    monkeypatch, forget, framework, package, extra
):
    forget("memcore_equinox", "memcore_flax", f"memcore.train.learners.{framework}", package)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"\[{extra}\]"):
        make_learner(framework, None, None, None, None)
