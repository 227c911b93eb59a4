"""Recompute a stored study, and list where evidence, verdict and grid differ from the stored.

Pure except for the metric, which rescores the stored answers. No model, no ledger, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tuneworthy.explain.recomputed import (
    all_rows_scored,
    outdated_results_error,
    recompute_evidence,
    rescore_stored,
)
from tuneworthy.metrics import Metric
from tuneworthy.records.evidence import Evidence, Policy
from tuneworthy.records.record import canonical
from tuneworthy.records.results import Results
from tuneworthy.records.task import Task
from tuneworthy.records.verdict import Finding, Verdict
from tuneworthy.verdict.decide import decide, grid
from tuneworthy.verdict.replay import results_before_settling, scored_by_metric, settled_again
from tuneworthy.verdict.rungs import policy_of

AskQuestions = Callable[[Evidence, Task], Sequence[Finding]]
"""A function of (evidence, task) that returns the findings of the questions."""


@dataclass(frozen=True)
class Recomputed:
    """The recomputed evidence hash and verdict, and a line for each difference from the stored.

    `rescored` counts rescored answers; None if the metric is the user's own code or a judge.
    `not_recomputed` names what was taken as stored. `wording` has the differences of sentences,
    which another build words otherwise; `differs` all others.
    """

    hash: str
    verdict: Verdict
    differs: tuple[str, ...]
    rescored: int | None
    not_recomputed: tuple[str, ...]
    wording: tuple[str, ...] = ()


def recompute(
    results: Results, ask: AskQuestions = lambda evidence, task: (), metric: Metric | None = None
) -> Recomputed:
    """Return the study recomputed from its stored runs, and where it differs from what is stored.

    A settled study is settled again from its stored clicks and answers to new inputs. The verdict
    keeps the release that wrote it, so that two releases with the same rule agree. Without a
    `metric` the stored scores are used. Raises TaskError if folds, policy, human grades or clicks
    were not stored.
    """
    policy = _stored_policy(results)
    study = Evidence.model_validate(
        recompute_evidence(results_before_settling(results), metric).plain()
    )
    findings = ask(study, results.task)
    evidence, failures = settled_again(results, study, policy, metric)
    judged = decide(evidence, findings, policy, version=results.verdict.tuneworthy)
    verdict = Verdict.model_validate(json.loads(canonical(judged)))  # in canonical form, as stored
    points = grid(evidence, findings, policy)
    checked, rescored_wrong, reworded = (
        rescore_stored(results, metric) if metric else (None, [], [])
    )
    leaves = [
        *_differing_leaves("evidence", results.evidence.plain(), evidence.plain()),
        *_differing_leaves("verdict", results.verdict.plain(), verdict.plain()),
        *_differing_leaves("grid", [p.plain() for p in results.grid], [p.plain() for p in points]),
    ]
    differs = [
        *rescored_wrong,
        *failures,
        *_policy_differences(results, policy),
        *(leaf.line for leaf in leaves if not leaf.is_wording),
    ]
    wording = [*reworded, *(leaf.line for leaf in leaves if leaf.is_wording)]
    taken = _taken_as_stored(results, metric)
    return Recomputed(evidence.hash, verdict, tuple(differs), checked, taken, tuple(wording))


def json_differences(name: str, stored: Any, again: Any) -> Iterator[str]:
    """Yield a line `path: stored …, recomputed …` for each leaf in which two JSON values differ."""
    return (leaf.line for leaf in _differing_leaves(name, stored, again))


_SENTENCE_KEYS = {"because", "chosen", "next", "prior", "why"}
_KEYS_ABOVE_SENTENCES = {"missing", "wide"}


@dataclass(frozen=True)
class _Leaf:
    """A leaf in which two JSON values differ."""

    path: tuple[str, ...]
    stored: Any
    again: Any

    @property
    def is_wording(self) -> bool:
        """Return whether both values are sentences, at a key that holds only sentences."""
        both = isinstance(self.stored, str) and isinstance(self.again, str)
        place = self.path[-1] in _SENTENCE_KEYS or self.path[-2] in _KEYS_ABOVE_SENTENCES
        return bool(both and place and self.stored and self.again)

    @property
    def line(self) -> str:
        """Return a line of text: path of the leaf, stored value, recomputed value."""
        stored, again = _short_repr(self.stored), _short_repr(self.again)
        return f"{'/'.join(self.path)}: stored {stored}, recomputed {again}"


def _differing_leaves(name: str, stored: Any, again: Any) -> Iterator[_Leaf]:
    return _differing_leaves_below((name,), stored, again)


def _differing_leaves_below(path: tuple[str, ...], stored: Any, again: Any) -> Iterator[_Leaf]:
    if isinstance(stored, dict) and isinstance(again, dict):
        for key in sorted({*stored, *again}):
            yield from _differing_leaves_below((*path, key), stored.get(key), again.get(key))
    elif isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        for at, (one, other) in enumerate(zip(stored, again, strict=True)):
            yield from _differing_leaves_below((*path, str(at)), one, other)
    elif stored != again or type(stored) is not type(again):
        yield _Leaf(path, stored, again)


def _short_repr(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _stored_policy(results: Results) -> Policy:
    if results.policy is None:
        raise outdated_results_error("don't hold the policy they were judged by")
    return results.policy


def _policy_differences(results: Results, policy: Policy) -> Iterator[str]:
    """Yield a line for each difference of the stored policy from that of the stored task.

    `margin_is_default` is not compared: the stored task does not say whether a margin was set.
    """
    current = policy_of(results.task).model_copy(
        update={"margin_is_default": policy.margin_is_default}
    )
    yield from json_differences("policy", policy.plain(), current.plain())


def _taken_as_stored(results: Results, metric: Metric | None) -> tuple[str, ...]:
    """Return the names of the scores and measurements that were taken as stored."""
    rediagnosed = (
        results.split is not None and metric is not None and all_rows_scored(results, results.split)
    )
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
    if not rediagnosed:
        names.insert(0, "diagnosis")
    present = [name for name in names if getattr(results.evidence, name)]
    if metric is not None:
        return tuple(present)
    return ("scores", *["settled pairs"] * scored_by_metric(results), *present)
