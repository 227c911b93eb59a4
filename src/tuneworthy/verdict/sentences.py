"""The verdict's reason in one sentence, and the caution sentences that may follow it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tuneworthy.matrix.look_text import look_line
from tuneworthy.records.counting import count_noun, points
from tuneworthy.records.escape import quoted
from tuneworthy.records.evidence import ArmResult, Evidence, Policy
from tuneworthy.records.task import TRAINED_TOOLS
from tuneworthy.verdict import drift
from tuneworthy.verdict.phrases import (
    cut_answers_clause,
    may_answer_sentence,
    no_threshold_sentence,
    sure_sentence,
    ticked,
    tool_with_name,
    why_short,
    zero_scores_sentence,
)
from tuneworthy.verdict.prices import known_prices, monthly_cost, rival
from tuneworthy.verdict.rule import LadderDecision, untrained_arms
from tuneworthy.verdict.rungs import (
    Ladder,
    broken_limits,
    open_limits,
    refused_answers,
    refused_answers_clause,
)


@dataclass(frozen=True)
class _SentenceContext:
    """The four inputs of a verdict's sentences: evidence, policy, ladder and ruling."""

    evidence: Evidence
    policy: Policy
    ladder: Ladder
    ruling: LadderDecision


def why_named(evidence: Evidence, policy: Policy, ladder: Ladder, ruling: LadderDecision) -> str:
    """Return text: why this arm is named, then a sentence for each caution that applies."""
    context = _SentenceContext(evidence, policy, ladder, ruling)
    first = _reason_sentence(context)
    lines = [
        _partial_run_sentence(evidence),
        first[:1].upper() + first[1:],
        sure_sentence(ruling.arm),
        may_answer_sentence(ruling.may_answer),
        _unknown_tool_sentence(ladder, ruling),
        _short_of_sentence(ruling),
        _not_compared_sentence(evidence),
        _retire_sentence(policy, ladder, ruling),
        _total_cost_sentence(policy, ladder, ruling),
        _expiry_sentence(ruling),
        _broken_limits_sentence(policy, ladder),
        _unknown_cost_sentence(policy, ladder),
        _failed_change_name_sentence(ruling),
        _unsettled_sentence(ruling),
        _cut_answers_sentence(ruling),
        _untrained_sentence(ruling),
        _refused_sentence(evidence, ruling),
        _missing_answers_sentence(context),
        zero_scores_sentence(ruling.arm),
        _retraining_sentence(policy, ruling),
        _part_of_rows_sentence(context),
        _fits_sentence(ruling),
        *drift.sentences(ladder, policy, evidence, ruling.arm),
        _open_limits_sentence(ruling),
        _locked_rows_sentence(evidence),
        _looks_sentence(evidence),
    ]
    return " ".join(line for line in lines if line)


def _reason_sentence(context: _SentenceContext) -> str:
    """Return the sentence on why an arm, or none, is named; its first letter may be small."""
    evidence, ruling = context.evidence, context.ruling
    margin = points(context.policy.margin)
    if ruling.unbounded:
        name = ticked(ruling.arm) if ruling.arm else "no arm"
        return f"{name} would be named if the bounds held; they do not, so nothing is shown."
    match ruling.reason:
        case "blocked":
            return f"no arm can be named before this is repaired: {quoted(evidence.blocks[0])}."
        case "nothing":
            return "no arm that could be named was measured, so there is nothing to compare."
        case "limits":
            if (limit := context.policy.wrong_at_most) and not context.ladder.outside:
                return no_threshold_sentence(limit)
            if context.ladder.order:
                return (
                    "what runs today is shown to break a limit you set, and no arm that keeps them"
                    f" is shown to stay within {margin} of it."
                )
            return "every arm is shown to break a limit you set, so none can be named."
        case "reference":
            return _reference_sentence(ruling)
        case "cheapest measured":
            return "no arm that is cheaper than what runs today was measured."
        case "no cheaper":
            all_worse = ", and all are shown to lose more" if ruling.status == "firm" else ""
            return f"no cheaper arm is shown to stay within {margin} of what runs today{all_worse}."
    assert ruling.arm is not None  # all remaining reasons name an arm
    arm, left = ticked(ruling.arm), _left_to_gain(context, ruling.arm)
    if ruling.reason == "cut":
        return f"no dearer arm than {arm} is named while its answers are cut; {left}."
    if ruling.reason == "cheapest":
        return f"{arm} is the cheapest arm shown to lose at most {margin} to what runs today."
    paid = known_prices(context.ladder.rivals, context.policy)
    gain = "enough to pay for the climb" if paid else f"{margin} or more"
    if ruling.reason == "first rung":
        ahead = any(context.ladder.bound(one, ruling.arm)[1] > 0 for one in context.ladder.rivals)
        none = "none of another tool" if context.ladder.others else "none"
        simplest = f"is the simplest arm and {none}" if ruling.arm.tool else "leads: no other arm"
        return f"{arm} {simplest} is shown to beat it{f' by {gain}' if ahead else ''}; {left}."
    but = "".join(f" (except `{quoted(a, 60)}` with a small gain)" for a in ruling.passed)
    return (
        f"every arm simpler than {arm}{but} is shown to be beaten, by {gain} on these rows, and"
        f" {arm} is not; {left}."
    )


def _reference_sentence(ruling: LadderDecision) -> str:
    assert ruling.against is not None
    left = f"; the best could be at most {points(ruling.left or 0.0)} above it"
    return (
        f"no arm that could be named is shown better than {ticked(ruling.against)}, which does not"
        f" solve the task{'' if ruling.refused else left}."
    )


def _left_to_gain(context: _SentenceContext, arm: ArmResult) -> str:
    """Return a clause on how much better the best other arm may be than `arm`."""
    best = rival(context.ladder, arm)
    if context.ruling.refused:
        return "what is left to gain is not known"
    if best is None:
        return "no other arm was measured that could be named"
    high = context.ladder.bound(best, arm)[2]
    most = points(max(0.0, high))
    unsettled = context.ruling.unsettled_by
    so_far = "as the answers were scored, " if unsettled else ""
    if prices := known_prices(context.ladder.rivals, context.policy):
        worthiest = rival(context.ladder, arm, prices) or best
        highest = context.ladder.bound(worthiest, arm)[2]
        if prices.worth(highest, worthiest.name, arm.name) <= 0:
            pays = "no other arm can gain enough to pay for itself"
            return f"{so_far}{pays} ({ticked(best)}: {most} at most)"
        return (
            f"{tool_with_name(worthiest)}, at most {points(max(0.0, highest))} better, might be"
            " worth more at these prices"
        )
    compared = " compared" if _uncompared_arms(context.evidence) else ""
    other = f"{so_far}no other{compared} arm"
    if high <= 0:
        return f"{other} can be better"
    if high <= context.policy.margin:
        margin = points(context.policy.margin)
        return f"{other} can be better by more than {margin}, your margin"
    return f"{tool_with_name(best)} could be at most {most} better"


def _part_of_rows_sentence(context: _SentenceContext) -> str:
    """State which arms, named or possibly better, learnt from only a part of the rows; or ""."""
    ruling, rows = context.ruling, context.evidence.train or 0
    both = [ruling.arm, rival(context.ladder, ruling.arm)] if ruling.arm else context.ladder.order
    said, unknown = [(arm, "") for arm in both if arm], ": its score on all is not known"
    if ruling.use not in TRAINED_TOOLS:
        others = untrained_arms(context.evidence, context.policy.margin)
        said += [(arm, unknown) for arm in others if arm not in (*both, ruling.untrained)]
    return " ".join(
        f"{ticked(arm)} learnt from {most:,} of {rows:,} rows,"
        f" {'as asked' if arm.whole_minutes is None else 'for want of minutes'}{more}."
        for arm, more in said
        if arm.score and isinstance(most := arm.options.get("rows"), int) and most < rows
    )


def _fits_sentence(ruling: LadderDecision) -> str:
    """State that a cross-fitted arm's interval is that of one more fit; "" for a single fit."""
    arm = ruling.arm
    if arm is None or arm.fits < 2:
        return ""
    return (
        f"{ticked(arm)} was fitted {arm.fits} times, on {arm.rows_learnt}: its"
        " interval is that of one more such fit, as you would build it."
    )


def _partial_run_sentence(evidence: Evidence) -> str:
    return "Not a verdict: only some of the rows were run." if evidence.limited else ""


def _retire_sentence(policy: Policy, ladder: Ladder, ruling: LadderDecision) -> str:
    """State whether today's tuned model can be retired for a simpler named arm; "" if no matter."""
    today, arm = ladder.present, ruling.arm
    if today is None or arm is None or today.tool not in TRAINED_TOOLS:
        return ""
    if arm.name == today.name or arm.tool in (*TRAINED_TOOLS, None):
        return ""
    if (today.name, arm.name) not in ladder.bounds:
        return (
            f"{ticked(today)} was not compared with {ticked(arm)}, so it is open whether it can go."
        )
    mean, _, high = ladder.bound(today, arm)
    if high > policy.margin:
        return f"{ticked(today)} could be retired: settle first, it may be {points(high)} better."
    within = points(max(0.0, mean))
    saves = _saving_clause(policy, today, arm)
    return (
        f"Retire {ticked(today)}: {ticked(arm)} is within {within} of it"
        f" (at most {points(max(0.0, high))} worse){saves}."
    )


def _total_cost_sentence(policy: Policy, ladder: Ladder, ruling: LadderDecision) -> str:
    """State if the named cheaper arm costs more a month in total than today's arm; or ""."""
    today, arm = ladder.present, ruling.arm
    if policy.motive != "cost" or today is None or arm is None or arm.name == today.name:
        return ""
    volume, months = policy.requests_per_month, policy.horizon_months
    costs = [monthly_cost(each, volume, months) for each in (arm, today)]
    if costs[0] is None or costs[1] is None or costs[0] <= costs[1]:
        return ""
    return (
        f"At {volume:,.0f} requests a month it costs ${costs[0] - costs[1]:,.0f} more than"
        f" {ticked(today)}, one-off cost and upkeep counted: keep what runs today at this volume."
    )


def _expiry_sentence(ruling: LadderDecision) -> str:
    if ruling.arm is None or ruling.arm.expires is None:
        return ""
    day = quoted(ruling.arm.expires, 10)
    return f"{ticked(ruling.arm)} stands on a model that ends on {day}: this verdict ends with it."


def _saving_clause(policy: Policy, today: ArmResult, arm: ArmResult) -> str:
    volume = policy.requests_per_month
    if volume is None or today.usd_per_1k is None or arm.usd_per_1k is None:
        return ""
    upkeep = (today.upkeep_usd_month or 0.0) - (arm.upkeep_usd_month or 0.0)
    month = volume * (today.usd_per_1k - arm.usd_per_1k) / 1000 + upkeep
    verb = "saves" if month > 0 else "costs another"
    return f" and {verb} ${abs(month):,.0f} a month"


def _broken_limits_sentence(policy: Policy, ladder: Ladder) -> str:
    parts = [f"{ticked(arm)} ({', '.join(broken_limits(arm, policy))})" for arm in ladder.outside]
    return f"Off the ladder for a limit it is shown to break: {'; '.join(parts)}." if parts else ""


def _unknown_cost_sentence(policy: Policy, ladder: Ladder) -> str:
    if policy.motive == "quality" or (ladder.present and ladder.present.usd_per_1k is not None):
        return ""
    lacking = "its cost" if ladder.present else "what runs today (key `present`)"
    return f"Your motive is cost, but {lacking} is not known."


def _failed_change_name_sentence(ruling: LadderDecision) -> str:
    changed = ruling.changed_by_failures
    return "If failed answers were right, another arm would be named." if changed else ""


def _unsettled_sentence(ruling: LadderDecision) -> str:
    """State whose failed or cut answers, if right, would leave the verdict open; or ""."""
    if ruling.unsettled_by is None:
        return ""
    arm, kind = ruling.unsettled_by
    left = f": up to {points(ruling.left)} may be left to gain" if ruling.left else ""
    return f"If the {kind} answers of {ticked(arm)} were right, this would not be firm{left}."


def _cut_answers_sentence(ruling: LadderDecision) -> str:
    """State what cut answers may have cost the arm that longer ones might get named; or ""."""
    arm = ruling.cut
    if arm is None or arm.cut is None:
        return ""
    ended = cut_answers_clause(arm, arm.cut)
    if ruling.reason == "cut":
        return f"{ended}. A dearer arm may only seem better for that reason."
    return f"{ended}; with longer answers another arm may be named."


_UNTRIED = {
    "": "",
    "models": "Neither a prompt nor a tuned model was measured.",
    "documents": "No arm that reads your documents was measured.",
}


def _untrained_sentence(ruling: LadderDecision) -> str:
    if ruling.unsearched:
        return "Whether a searched prompt would do as well is not known: no search for one was run."
    if ruling.untrained is None:
        return _UNTRIED[ruling.untried]
    arm = ticked(ruling.untrained)
    if ruling.untrained.whole_minutes is not None:
        return f"What {arm} would score if it learnt from all rows is not known."
    why = why_short([ruling.untrained])
    return f"Whether {arm} would be better is not known: {why} measure it."


def _refused_sentence(evidence: Evidence, ruling: LadderDecision) -> str:
    form = refused_answers(evidence)
    if form is None or not ruling.refused:
        return ""
    clause = refused_answers_clause(form)
    return f"{clause[:1].upper()}{clause[1:]}: with them another arm may be named."


def _missing_answers_sentence(context: _SentenceContext) -> str:
    """State how many answers of the named arm, its rival and today's system are missing; or ""."""
    arm, ladder = context.ruling.arm, context.ladder
    spoken_of = (arm, rival(ladder, arm) if arm else None, ladder.present)
    lacking = {one.name: one for one in spoken_of if one and one.score and one.errors}
    return " ".join(
        f"Missing or unscored, so counted as wrong: {one.errors:,} of {one.n:,} answers of"
        f" {ticked(one)} ({points(_gain_if_right(one))} more at most if right)."
        for one in lacking.values()
    )


def _gain_if_right(arm: ArmResult) -> float:
    """Return the most that failed answers, were they right, could add to an arm's mean score."""
    mean = arm.score.mean if arm.score else 0.0
    return max(0.0, (arm.score_if_right or 0.0) - mean)


def _uncompared_arms(evidence: Evidence) -> list[ArmResult]:
    """Return measured arms without bounds: `success.finalists` named another arm of their tool."""
    known = any(arm.compared for arm in evidence.arms)  # evidence of 0.1.0 lacks this field
    return [
        arm
        for arm in evidence.arms
        if known and arm.score and arm.tool and arm.role == "candidate" and not arm.competes
    ]


def _not_compared_sentence(evidence: Evidence) -> str:
    """State which measured arms were not compared, with their scores; "" if all were."""
    scored = [
        f"{ticked(arm)} ({arm.score.mean:.2f})" for arm in _uncompared_arms(evidence) if arm.score
    ]
    why = "success.finalists names another arm of their tool"
    return f"Measured and not compared: {', '.join(scored)}; {why}." if scored else ""


def _unknown_tool_sentence(ladder: Ladder, ruling: LadderDecision) -> str:
    """State that the named arm, or its rival, stands on top if its tool is unknown; or ""."""
    both = (ruling.arm, rival(ladder, ruling.arm) if ruling.arm else None)
    arm = next((one for one in both if one and one.tool is None), None)
    if arm is None:
        return ""
    name = quoted(arm.name, 60)
    return (
        f"`{name}` stands above all arms because its tool is not known: write `answers.{name}.tool`"
        " to place it on the ladder."
    )


def _short_of_sentence(ruling: LadderDecision) -> str:
    if ruling.arm is None or ruling.short_of is None:
        return ""
    return (
        f"{ticked(ruling.arm)} itself is not shown better than {ticked(ruling.short_of)}, which"
        " does not solve the task; another arm is."
    )


def _retraining_sentence(policy: Policy, ruling: LadderDecision) -> str:
    sd = ruling.arm.seed_sd if ruling.arm else None
    big = sd is not None and sd > policy.margin / 2
    return f"A retraining may differ by {points(sd)} either way." if sd and big else ""


def _open_limits_sentence(ruling: LadderDecision) -> str:
    arm = ruling.arm
    names = open_limits(arm) if arm else ()
    why = {name: arm.missing.get(f"limits.{name}") for name in names} if arm else {}
    limits = [f"{name} ({why[name]})" if why[name] else name for name in names]
    return f"Not shown to keep your limits: {', '.join(limits)}." if limits else ""


def _looks_sentence(evidence: Evidence) -> str:
    if evidence.looks < 2:
        return ""
    return f"This is {look_line(evidence.looks, evidence.looks_scope, evidence.locked)}."


def _locked_rows_sentence(evidence: Evidence) -> str:
    """State how many locked rows the study was scored on; "" if the rows were not locked."""
    if not evidence.locked:
        return ""
    return f"Scored on {count_noun(evidence.n, 'locked row')}, unlock {evidence.looks}."
