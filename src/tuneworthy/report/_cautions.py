"""Cautions of the first screen: facts about the rows or answers that may mislead the reader."""

from __future__ import annotations

import math

from tuneworthy.core.arm import RETRY_TOKEN_FACTOR
from tuneworthy.core.results import Results
from tuneworthy.core.task import TRAINED_TOOLS
from tuneworthy.verdict.phrases import as_sentence

SHOWN_KINDS = ("answers_are_gold", "matched_by_order", "inputs_differ")


def cautions(results: Results) -> list[str]:
    """Return one text per caution on the verdict, the most serious first."""
    seen = {
        kind: [o.text for o in results.audit.observations if o.kind == kind] for kind in SHOWN_KINDS
    }
    return (
        _later_look_caution(results)
        + _untrained_caution(results)
        + _cut_answers_caution(results)
        + [as_sentence(text) for kind in SHOWN_KINDS for text in seen[kind]]
        + _few_groups_caution(results)
    )


def _few_groups_caution(results: Results) -> list[str]:
    """Return a caution if the rows come in so few groups that one more could change the verdict."""
    return [
        f"{as_sentence(seen.text)} {as_sentence(seen.fix)}"
        for seen in results.audit.observations
        if seen.kind == "groups" and seen.level == "warning"
    ]


def _later_look_caution(results: Results) -> list[str]:
    """Return a caution if only the earlier looks at these rows keep the verdict from being firm."""
    first = results.reproduce.get("at_first_look")
    if not first:
        return []
    return [
        f"At a first look at these rows this would be {first}. It is look {results.verdict.looks},"
        " and every bound pays for the looks before: the answers need not have changed. Score rows"
        " that no study has opened."
    ]


def _cut_answers_caution(results: Results) -> list[str]:
    """Return a caution if the token limit may have cost the named arm more than the margin."""
    named = [arm for arm in results.evidence.arms if arm.name == results.verdict.arm]
    margin = results.task.success.margin
    return [
        f"The token limit ended {arm.cut.n:,} of its {arm.n:,} answers; of {arm.cut.asked:,} asked"
        f" again with {RETRY_TOKEN_FACTOR} times the tokens {arm.cut.gained:,} scored higher. Raise"
        " output.max_tokens before you trust this score."
        for arm in named
        if arm.cut and arm.cut.gain > margin
    ]


def _untrained_caution(results: Results) -> list[str]:
    """Return a caution if no arm was trained for lack of minutes, with the minutes needed."""
    trainable = [
        arm for arm in results.evidence.arms if arm.tool in TRAINED_TOOLS and not arm.present
    ]
    if not trainable or any(arm.score for arm in trainable):
        return []
    left_out = [arm.name for arm in trainable if arm.left_out_for_time]
    minutes = {arm.spec.name: arm.first_minutes for arm in results.plan.arms}
    if not left_out:
        return []
    least = min(left_out, key=lambda name: minutes.get(name, 0.0))
    need = max(1, math.ceil(minutes.get(least, 0.0)))
    return [
        f"No arm was trained: the minutes had no room. {least} alone needs about {need} more:"
        f" tuneworthy run --more {need}m."
    ]
