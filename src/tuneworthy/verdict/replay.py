"""Repeat the settling of a study from its stored clicks and answers. Asks no model and no user."""

from __future__ import annotations

from dataclasses import replace

from tuneworthy.explain.comparison import compare
from tuneworthy.explain.recomputed import inputs_of, outdated_results_error
from tuneworthy.metrics import Metric
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.evidence import Evidence, Policy
from tuneworthy.records.results import Results
from tuneworthy.records.settlement import EndReason, SettlementLog
from tuneworthy.verdict.finalists import StoredFinalists
from tuneworthy.verdict.pairwise_votes import PairwiseVotes
from tuneworthy.verdict.sequential import SequentialSettling, evidence_hash_after_settling


def results_before_settling(results: Results) -> Results:
    """Return results with looks and pool as before they were settled; unsettled ones unchanged.

    Pairs and hash remain the settled ones. Raises TaskError if the clicks were not stored.
    """
    course, stored = results.course, results.evidence
    if course is None:
        if stored.settled is None:
            return results
        raise outdated_results_error(
            "don't hold the clicks they were settled by", "settle", "clicks"
        )
    plain = {"looks": course.looks, "pool": course.pool, "settled": None}
    return results.model_copy(update={"evidence": stored.model_copy(update=plain)})


def scored_by_metric(results: Results) -> bool:
    """Return whether the clicks of settled results are scored by the task's metric."""
    return results.course is not None and not _vote_comparer(results, None).by_preference


def settled_again(
    results: Results, study: Evidence, policy: Policy, metric: Metric | None
) -> tuple[Evidence, tuple[str, ...]]:
    """Return (evidence settled again from stored clicks, a line for each part not repeatable).

    `study` is the recomputed evidence of the study; it is returned if nothing was settled. Without
    a `metric` that clicks need (see `scored_by_metric`) the settled pairs are the stored ones.
    """
    course, stored = results.course, results.evidence
    if course is None:
        return study, ()
    if metric is None and scored_by_metric(results):
        return _as_stored(stored, study, course), ()
    inputs = replace(inputs_of(results), looks=stored.looks, earlier=())
    pairs_at_look = compare(inputs, results.cases, results.runs).pairs
    arms, votes = (
        StoredFinalists(results, study, inputs.split, course),
        _vote_comparer(results, metric),
    )
    pairs, failures = SequentialSettling(study, policy, arms, votes, pairs_at_look), list[str]()
    stored_end: EndReason = stored.settled.ended if stored.settled else "stopped"
    try:
        if course.drawn or stored_end != "stopped":
            pairs.question()
        pairs.take(*course.clicks)
    except LookupError:
        failures.append("settled: the stored clicks lead to an answer that is not stored")
    ended = pairs.ended or ("patience" if stored_end == "patience" else "stopped")
    return pairs.evidence(stored.looks, ended), tuple(failures)


def _as_stored(stored: Evidence, study: Evidence, course: SettlementLog) -> Evidence:
    """Return the study's evidence with its settled pairs replaced by the stored ones.

    Settled pairs are recognised by their level, which is that of a later look.
    """
    stored_pairs = {(pair.arm, pair.versus): pair for pair in stored.pairs}
    matched = ((pair, stored_pairs.get((pair.arm, pair.versus), pair)) for pair in study.pairs)
    pairs = tuple(own if own.level == other.level else other for own, other in matched)
    plain = {key: getattr(stored, key) for key in ("settled", "looks", "pool")}
    if stored.settled:
        plain["hash"] = evidence_hash_after_settling(study.hash, stored.settled, course.clicks)
    return study.model_copy(update={**plain, "pairs": pairs})


def _vote_comparer(results: Results, metric: Metric | None) -> PairwiseVotes:
    """Return the comparer of votes; preferences need no metric, so it may be None."""
    return PairwiseVotes(results.task, metric or _score_nothing, results.evidence.task_hash)


def _score_nothing(case: Case, answer: Answer) -> Score | Unscored:
    return Unscored(reason=f"no metric is there to score case {case.id}, {answer.text[:20]!r}")
