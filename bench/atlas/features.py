"""Measure cheap facts of a task as numbers, from which a forecast predicts the winning tool."""

from __future__ import annotations

from tuneworthy.records.results import Results
from tuneworthy.report.atlas_file import row_features


def features_of(results: Results) -> dict[str, float]:
    """Return, by name, the facts of a finished study, for `MeasuredTask.features`.

    They are those of `row_features`, and if the arms were measured: `base`, the score of the plain
    instruction; `few_shot_gain`, the best score with fixed examples minus `base`; `tfidf`, the
    score of the classifier on word counts.
    """
    arm_of = {run.spec.name: run.spec.arm for run in results.runs}
    best: dict[str, float] = {}
    for arm in results.evidence.arms:
        if arm.score is not None and arm.name in arm_of and arm.role == "candidate":
            name = arm_of[arm.name]
            best[name] = max(arm.score.mean, best.get(name, 0.0))
    outputs = [case.output for case in results.cases]
    found = row_features(outputs, results.evidence.train or len(outputs), results.task.output.type)
    if "zero_shot" in best:
        found["base"] = best["zero_shot"]
        if "few_shot" in best:
            found["few_shot_gain"] = best["few_shot"] - best["zero_shot"]
    if "tfidf" in best:
        found["tfidf"] = best["tfidf"]
    return found
