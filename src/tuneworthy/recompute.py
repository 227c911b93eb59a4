"""A stored study judged again: what of its evidence, verdict and grid is not what comes out.

Pure but for the metric, which scores the stored answers again. No model, no ledger, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tuneworthy.core.evidence import Evidence, Policy
from tuneworthy.core.finding import Finding
from tuneworthy.core.record import canonical
from tuneworthy.core.results import Results
from tuneworthy.core.task import Task
from tuneworthy.core.verdict import Verdict
from tuneworthy.diagnose.recomputed import evidence_again, older, scored_again, whole
from tuneworthy.metrics import Metric
from tuneworthy.settle.replay import by_score, settled_again, unsettled
from tuneworthy.verdict.decide import decide, grid
from tuneworthy.verdict.policy import policy_of

Ask = Callable[[Evidence, Task], Sequence[Finding]]
"""Asks the questions of evidence, as the study did."""


@dataclass(frozen=True)
class Recomputed:
    """What came out: the evidence hash and verdict of today, and every place that differs.

    `scored` counts answers scored again, None where the metric is the user's own code or a judge.
    `taken` names what was not computed again but taken as stored.
    """

    hash: str
    verdict: Verdict
    differs: tuple[str, ...]
    scored: int | None
    taken: tuple[str, ...]


def recompute(
    results: Results, ask: Ask = lambda evidence, task: (), metric: Metric | None = None
) -> Recomputed:
    """Return the study judged again from its stored answers, scores, folds and policy.

    A settled one is settled again from its stored clicks and answers to new inputs.
    The release that wrote it is kept in the verdict, so that two releases with one rule agree.
    Without a `metric` the stored scores are taken. Raises TaskError where folds, policy, human
    grades or clicks were not stored.
    """
    policy = _policy(results)
    study = Evidence.model_validate(evidence_again(unsettled(results), metric).plain())
    findings = ask(study, results.task)
    evidence, lost = settled_again(results, study, policy, metric)
    judged = decide(evidence, findings, policy, version=results.verdict.tuneworthy)
    verdict = Verdict.model_validate(json.loads(canonical(judged)))  # keys as stored
    points = grid(evidence, findings, policy)
    checked, wrong = scored_again(results, metric) if metric else (None, [])
    differs = [
        *wrong,
        *lost,
        *_policy_differs(results, policy),
        *differences("evidence", results.evidence.plain(), evidence.plain()),
        *differences("verdict", results.verdict.plain(), verdict.plain()),
        *differences("grid", [p.plain() for p in results.grid], [p.plain() for p in points]),
    ]
    return Recomputed(evidence.hash, verdict, tuple(differs), checked, _taken(results, metric))


def differences(name: str, stored: Any, again: Any) -> Iterator[str]:
    """Yield a line for each leaf of two JSON values that is not the same."""
    if isinstance(stored, dict) and isinstance(again, dict):
        for key in sorted({*stored, *again}):
            yield from differences(f"{name}/{key}", stored.get(key), again.get(key))
    elif isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        for at, (one, other) in enumerate(zip(stored, again, strict=True)):
            yield from differences(f"{name}/{at}", one, other)
    elif stored != again or type(stored) is not type(again):
        yield f"{name}: stored {_cut(stored)}, recomputed {_cut(again)}"


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _policy(results: Results) -> Policy:
    if results.policy is None:
        raise older("don't hold the policy they were judged by")
    return results.policy


def _policy_differs(results: Results, policy: Policy) -> Iterator[str]:
    """Yield where the policy is not the task's; whether a margin was written is not in the task."""
    read = policy_of(results.task).model_copy(
        update={"margin_is_default": policy.margin_is_default}
    )
    yield from differences("policy", policy.plain(), read.plain())


def _taken(results: Results, metric: Metric | None) -> tuple[str, ...]:
    """Return what was taken: scores, and the evidence that was measured beside the matrix."""
    again = results.split is not None and metric is not None and whole(results, results.split)
    names = [
        "soundness",
        "curves",
        "search",
        "known",
        "staleness",
        "harms",
        "shakes",
        "changes",
        "slices",
        "styles",
    ]
    if not again:
        names.insert(0, "diagnosis")
    there = [name for name in names if getattr(results.evidence, name)]
    if metric is not None:
        return tuple(there)
    return ("scores", *["settled pairs"] * by_score(results), *there)
