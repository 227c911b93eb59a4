"""Made-up measured tasks for tests: no number here was measured, and none is shipped."""

from datetime import date

from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import MeasuredArm, MeasuredTask, ShownRow


def arm(name, tool, mean, behind=None, **more):
    """Return an arm; `behind` is (mean, low, high), None for the best arm."""
    return MeasuredArm(
        name=name,
        tool=tool,
        seeds=1,
        score=None if mean is None else Interval(mean=mean, low=mean - 0.05, high=mean + 0.05),
        behind=behind and Interval(mean=behind[0], low=behind[1], high=behind[2]),
        **{"seconds": 10.0, **more},
    )


def task(key="a", arms=None, **more):
    """Return a made-up task: fine-tuning wins by 20 points unless other arms are given."""
    if arms is None:
        arms = (
            arm("tfidf", "classifier", 0.6, (0.3, 0.2, 0.4)),
            arm("few_shot", "prompt", 0.7, (0.2, 0.1, 0.3)),
            arm("lora", "tune", 0.9, fit_seconds=60.0),
        )
    fields = {
        "key": key,
        "kind": f"type {key}",
        "title": f"made-up task {key}",
        "size": 100,
        "n": 200,
        "metric": "accuracy",
        "margin": 0.05,
        "model": "made-up",
        "instruction": "Name the topic of the message.",
        "shown": tuple(ShownRow(input=f"message {i}", output=f"topic {i % 3}") for i in range(10)),
        "base": 0.4,
        "arms": tuple(arms),
        "use": "tune",
        "arm": "lora",
        "status": "firm",
        "left": 0.0,
        "rows_hash": f"rows of {key}",
        "measured": date(2026, 1, 1),
    }
    return MeasuredTask(**{**fields, **more})


def prompt_task(key="p", **more):
    """Return a made-up task on which the prompt is within the margin of fine-tuning."""
    arms = (
        arm("tfidf", "classifier", 0.5, (0.4, 0.3, 0.5)),
        arm("few_shot", "prompt", 0.88, (0.02, -0.01, 0.04)),
        arm("lora", "tune", 0.9, fit_seconds=60.0, build_usd=2.5),
    )
    return task(key, arms, **{"use": "prompt", "arm": "few_shot", **more})
