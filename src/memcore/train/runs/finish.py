"""The end of a run: test, model file, picture, summary."""

import memcore
from memcore.train.devices.hosts import by_first
from memcore.train.devices.placement import Placement
from memcore.train.learners import Learner
from memcore.train.objective.config import Config
from memcore.train.runs.curves import draw
from memcore.train.runs.evaluation import evaluate
from memcore.train.runs.files import beside
from memcore.train.runs.folder import RunFolder
from memcore.train.runs.metrics import Metrics
from memcore.train.runs.report import Summary, describe, sizes, train_loss
from memcore.types import Params, Value


def finish(
    config: Config,
    learner: Learner,
    folder: RunFolder,
    steps: tuple[int, int],
    seconds: float,
    step_seconds: float | None,
    placement: Placement,
) -> Summary:
    """Test a trained learner, and write the results into its folder; the summary last of all.

    steps: how many were trained, and after which one the learner is as it is.
    """
    how = (config.batch_size, config.segment, config.evaluate_rows, placement)
    test = evaluate(learner, config.task, "test", *how)
    params = placement.whole(learner.params)

    def write() -> Value:
        return _write(config, params, test, folder, steps, seconds, step_seconds).to_json()

    return Summary.from_json(by_first(write))


def _write(
    config: Config,
    params: Params,
    test: dict[str, float],
    folder: RunFolder,
    steps: tuple[int, int],
    seconds: float,
    step_seconds: float | None,
) -> Summary:
    metric = config.task.metric
    lines = Metrics(folder.metrics, metric).read()
    checks = {line["step"]: line for line in lines if line["split"] == "validation"}
    check = checks[steps[1]]
    parameters, state_size = sizes(config.model, params)
    summary = Summary(
        task=config.task.title,
        model=describe(config.model),
        framework=config.framework,
        metric=metric,
        parameters=parameters,
        state_size=state_size,
        steps=steps[0],
        train_loss=train_loss(lines),
        validation_loss=check["loss"],
        validation_metric=check[metric],
        test_loss=test["loss"],
        test_metric=test[metric],
        seconds=seconds,
        step_seconds=step_seconds,
        best_step=steps[1],
        seed=config.seed,
        version=memcore.__version__,
        config=config.to_json(),
    )
    with beside(folder.model) as draft:
        memcore.save(draft, config.model, params)
    draw(lines, metric, f"{summary.model} on {summary.task} ({config.framework})", folder.curves)
    summary.write(folder.results)
    return summary
