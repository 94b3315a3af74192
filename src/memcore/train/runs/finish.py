"""The end of a run: test, model file, picture, summary."""

import memcore
from memcore.train.learners import Learner
from memcore.train.objective.config import Config
from memcore.train.runs.curves import draw
from memcore.train.runs.evaluation import evaluate
from memcore.train.runs.files import beside
from memcore.train.runs.folder import RunFolder
from memcore.train.runs.metrics import Metrics
from memcore.train.runs.report import Summary, describe, sizes, train_loss


def finish(
    config: Config,
    learner: Learner,
    folder: RunFolder,
    steps: int,
    seconds: float,
    step_seconds: float | None,
) -> Summary:
    """Write the results of a trained learner into its folder; the summary last of all."""
    metric = config.task.metric
    lines = Metrics(folder.metrics, metric).read()
    checks = [line for line in lines if line["split"] == "validation"]
    how = (config.batch_size, config.segment, config.evaluate_rows)
    test = evaluate(learner, config.task, "test", *how)
    params = learner.params
    parameters, state_size = sizes(config.model, params)
    summary = Summary(
        task=config.task.title,
        model=describe(config.model),
        framework=config.framework,
        metric=metric,
        parameters=parameters,
        state_size=state_size,
        steps=steps,
        train_loss=train_loss(lines),
        validation_loss=checks[-1]["loss"],
        validation_metric=checks[-1][metric],
        test_loss=test["loss"],
        test_metric=test[metric],
        seconds=seconds,
        step_seconds=step_seconds,
    )
    with beside(folder.model) as draft:
        memcore.save(draft, config.model, params)
    draw(lines, metric, f"{summary.model} on {summary.task} ({config.framework})", folder.curves)
    summary.write(folder.results)
    return summary
