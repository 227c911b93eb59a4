"""Was a strong prompt measured, so that working on it more brings no more?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tuneworthy.explain.questions._findings import (
    finalists,
    finding,
    listed,
    pair_of,
    rows_needed_clause,
    ticked,
    unmeasured,
)
from tuneworthy.records.counting import count_noun, percent_with_bounds, points, points_with_bounds
from tuneworthy.records.evidence import ArmResult, Evidence, best_first
from tuneworthy.records.further import LEAST_SEARCHED, PromptSearch
from tuneworthy.records.task import TOOLS, TRAINED_TOOLS, Task
from tuneworthy.records.verdict import Finding

QUESTION = "Is prompting exhausted: was a strong prompt measured?"
PRIOR = "a good prompt reaches 80 to 90 % of the gain"
WRONG = (
    "While a better prompt still gains, the prompt is the cheaper thing to work on: push it before"
    " anything is trained."
)
UNIT = "points"
_ASK_WRITER = "ask whoever wrote these prompts what else was tried, or let a model here search"
_MEASURE_ONE = "let `arms` name a prompt that `model` runs, or record its answers under `answers`"
_finding = partial(finding, "prompt_exhausted", PRIOR)


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer yes if doubling the prompt budget is shown to gain less than the margin.

    Yes too if even the most that the last doubling may have gained leaves the searched prompt
    behind the best arm.
    No if it is shown to gain, and where the search tried less than LEAST_SEARCHED prompts.

    Without a search: yes if a prompt is within the margin of a perfect score, no if prompts were
    only tried as they are written. `value` is the gain of the last doubling on dev rows.
    """
    search, margin = evidence.search, task.success.margin
    tried = [a for a in evidence.arms
             if a.tool == "prompt" and a.role == "candidate" and a.score]  # fmt: skip
    if search is None or not search.optimised:
        return _finding_without_search(evidence, margin, tried)
    step = (
        f"double the prompt budget: {2 * search.budget:,} prompts"
        f" (option `budget` of {ticked(search.arm)})"
    )
    if search.gain is None:
        why = search.because or "the budget was not doubled"
        return _finding("not_measured", unmeasured({}, "", why), step)
    gain, n = search.gain, max((step.n for step in search.steps), default=0)
    said = (
        f"the last doubling to {search.budget:,} prompts gained {ticked(search.arm)}"
        f" {points_with_bounds(gain, f'n = {n:,} dev rows')}{_reached_clause(search)}"
    )
    if gain.high < margin:
        return _finding("yes", said, "", gain)
    if far := _out_of_reach(evidence, search.arm, gain.high):
        return _finding("yes", f"{said}; {far}", "", gain)
    if gain.low > 0:
        return _finding("no", said, step, gain)
    if search.budget < LEAST_SEARCHED:
        tried_few = f"only {count_noun(search.budget, 'prompt')} were tried"
        return _finding("no", f"{tried_few}; {said}{_behind_clause(evidence, tried)}", step, gain)
    need = rows_needed_clause(gain, n, margin, 0.0, "dev rows")
    return _finding("not_measured", f"{need}; {said}{_behind_clause(evidence, tried)}", step, gain)


def _out_of_reach(evidence: Evidence, searched: str, most: float) -> str:
    """Return a clause if the best arm is ahead of the searched prompt by more than `most`, or "".

    `most` is the upper end of the gain of the last doubling of the search. Where a prompt is the
    best arm, prompting leads.
    """
    for leader in best_first(evidence, finalists(evidence, TOOLS))[:1]:
        pair = pair_of(evidence, leader.name, searched)
        if leader.tool != "prompt" and pair and pair.low > max(0.0, most):
            return (
                f"another such gain, {points(max(0.0, most))} at most, leaves it behind"
                f" {ticked(leader.name)}, which is {points(pair.low)} or more ahead"
            )
    return ""


def _finding_without_search(
    evidence: Evidence, margin: float, tried: Sequence[ArmResult]
) -> Finding:
    """Return the finding where prompts were measured as they are written (`tried`), or none was."""
    could = evidence.untried_search
    for arm in tried:
        if arm.score and 1 - arm.score.low <= margin:
            return _finding("yes", _most_clause(arm), "", 1 - arm.score.low)
    behind = _behind_clause(evidence, tried)
    if could is None:
        why = (evidence.search.because if evidence.search else "") or "no prompt was measured"
        step = _ASK_WRITER if tried else _MEASURE_ONE
        said = unmeasured(evidence.missing, "search", why)
        return _finding("not_measured", f"{said}{behind}", step)
    search = f"a search of {count_noun(could.prompts, 'prompt')}"
    if could.minutes is not None:
        search += f" takes about {count_noun(could.minutes, 'minute')}"
    step = f"{search}: {could.how}"
    for arm in finalists(evidence, ("keep", "classifier")):
        if arm.score and 1 - arm.score.low <= margin:  # then no search is worth its minutes
            step = f"stay with {ticked(arm.name)}: {_most_clause(arm)}"
    if not tried:
        return _finding("no", "no prompt was measured, and none was searched for", step)
    names = listed([arm.name for arm in tried])
    they = "was tried as it is" if len(tried) == 1 else "were tried as they are"
    return _finding("no", f"no search was run, {names} {they}{behind}", step)


def _most_clause(arm: ArmResult) -> str:
    most = points(1 - arm.score.low if arm.score else 1.0)
    return f"even a perfect prompt would gain {most} at most over {ticked(arm.name)}"


def _behind_clause(evidence: Evidence, tried: Sequence[ArmResult]) -> str:
    """Return a clause on how far the best prompt is behind the best tuned, or any, arm; or ""."""
    best = best_first(evidence, tried)[:1]
    rivals = finalists(evidence, TRAINED_TOOLS) or finalists(evidence, TOOLS)
    for leader in best_first(evidence, rivals)[:1]:
        for arm in best:
            if leader.name == arm.name:
                return f"; {ticked(arm.name)} is the best arm"
            if pair := pair_of(evidence, leader.name, arm.name):
                ahead = points_with_bounds(pair, f"n = {pair.n:,}")
                return f"; {ticked(leader.name)} minus {ticked(arm.name)} is {ahead}"
    return ""


def _reached_clause(search: PromptSearch) -> str:
    """Return a clause on the share of tuning's gain that the prompt reaches, or ""."""
    if search.rho is None:
        return ""
    return f"; it reaches {percent_with_bounds(search.rho)} of what tuning gains"
