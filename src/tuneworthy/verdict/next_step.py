"""The next step: a fixed order of repairs, then the cheapest offer, all counted in labels."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.matrix.abstention import least_rows
from tuneworthy.matrix.detectable import rows_for
from tuneworthy.matrix.sizing import SampleSize, rows_to_collect
from tuneworthy.records.counting import chance_text, percent, points
from tuneworthy.records.evidence import ArmResult, Evidence, Policy
from tuneworthy.records.verdict import Finding, Next
from tuneworthy.verdict.contest import UndecidedPair, find_undecided_pair
from tuneworthy.verdict.drift import alike_neighbours, decisive_breaks
from tuneworthy.verdict.flips import PriceInterval, PriceKey, rulings_by_key
from tuneworthy.verdict.phrases import ticked, tool_with_name
from tuneworthy.verdict.prices import unknown_costs
from tuneworthy.verdict.rule import LadderDecision, ladder_scenarios
from tuneworthy.verdict.rungs import Ladder, refused_answers, refused_answers_clause
from tuneworthy.verdict.unmeasured import (
    LABELS_PER_CLICK,
    StepOption,
    bigger_option,
    folds_option,
    may_gain,
    measure_option,
    unmeasured_clause,
)

_LEAST_SETTLE_CHANCE = 0.5
"""With too few inputs, settling is offered from this chance on (or labelling's, if lower)."""
_REPAIR_FORM = "repair the metric or the parser, then run again"


def next_step(
    evidence: Evidence,
    policy: Policy,
    ladder: Ladder,
    ruling: LadderDecision,
    findings: Sequence[Finding] = (),
    target_met: bool | None = None,
) -> Next:
    """Return the cheapest step that would make the verdict firmer or the score higher.

    Findings only explain; no step is taken from them.
    """
    del findings
    if ruling.status == "blocked" and policy.lacks_answers:
        return _step_to_write_answers(evidence, policy)
    if ruling.status == "blocked":
        return Next(do="repair", why=evidence.blocks[0])
    if evidence.limited:
        return Next(do="run all rows", why="only some of the rows were run")
    if ruling.reason == "nothing":
        return Next(do="measure an arm", why="no arm that could be named was measured")
    if (form := refused_answers(evidence)) and form.share > policy.margin:
        return Next(
            do=_REPAIR_FORM,
            why=f"{refused_answers_clause(form)}, and every comparison counts them as wrong",
        )
    if ruling.reason == "limits" and not ladder.outside:
        return _step_to_show_more(evidence, policy, ruling.may_answer)
    if ruling.reason == "limits":
        return Next(do="revise the limits", why=_why_revise_limits(ladder))
    before = _step_before_rows(evidence, policy, ladder, ruling)
    open_now = None if before else find_undecided_pair(evidence, policy, ladder, ruling)
    offers = [] if before else _step_options(evidence, policy, ruling, open_now)
    short = target_met is False
    pair = (open_now.arm, open_now.versus) if open_now else ()
    folds = folds_option(evidence, policy, pair)
    if not (_is_decided(ruling, short) or ruling.unsearched) and (
        more := measure_option(evidence, policy, ruling.arm, short)
    ):
        # More rows can't settle how an arm would score that was not trained, or on few rows only.
        in_part = any(arm.whole_minutes is not None for arm in pair)
        others = [] if ruling.untrained or in_part else [offer for offer in offers if offer.settles]
        return _cheapest_step([more, *others, *([folds] if folds else [])])
    if folds:
        return _cheapest_step([folds, *(offer for offer in offers if offer.settles)])
    larger = _wants_bigger(evidence, policy, ruling, short)
    if larger and (short or ruling.status == "firm"):  # few rows never show it to fall short
        return _step_to_measure_bigger(evidence, policy, ruling)
    if before:
        return before
    if larger and (open_now is None or open_now.size is None):  # more rows would not help
        return _step_to_measure_bigger(evidence, policy, ruling)
    if not offers:
        return Next(do="measure another arm", why="there is no second arm to compare on these rows")
    return _cheapest_step(offers)


def _step_to_write_answers(evidence: Evidence, policy: Policy) -> Next:
    rows, need = evidence.n, rows_for(policy.margin)
    usd = None if policy.label_each is None else min(rows, need) * policy.label_each
    why = f"about {need:,} rows with a right answer show a difference of {points(policy.margin)}"
    return Next(do="label", rows=min(rows, need), usd=usd, why=why)


def _step_before_rows(
    evidence: Evidence, policy: Policy, ladder: Ladder, ruling: LadderDecision
) -> Next | None:
    """Return the step to take before labelling more rows; None if more rows may help now."""
    if policy.motive == "cost" and (need := _step_to_give_cost(ladder)):
        return need
    if ruling.status == "firm":
        return _step_if_firm(evidence, policy, ruling)
    if ruling.changed_by_failures:
        return _failed_rows_step(evidence, _WHY_FAILED)
    if ruling.cut:
        return Next(do="raise output.max_tokens", why=_why_cut(ruling.cut))
    if ruling.unsettled_by:
        return _step_to_answer_again(evidence, *ruling.unsettled_by)
    if evidence.corrected:
        return Next(do="label a blind sample", rows=_BLIND_ROWS, why=_WHY_BLIND)
    if decisive_breaks(ladder, policy, evidence.trends, ruling.arm):
        return Next(do="measure on newer rows", why=_WHY_NEWER)
    if alike_neighbours(ladder, evidence.neighbours, ruling.arm):
        return Next(do="name the groups of the rows", why=_WHY_GROUPS)
    if ruling.may_answer and not (ruling.untried or ruling.untrained or ruling.unsearched):
        return _step_to_show_more(evidence, policy, ruling.may_answer)
    if ruling.untried:
        return _UNTRIED_STEPS[ruling.untried]
    if ruling.unsearched and (search := evidence.untried_search):
        why = f"{_WHY_SEARCH}: {search.how}"
        key = "success.finalists" if search.minutes else "arms"
        edit = key if search.how.startswith("write") else None
        return Next(do="search for a better prompt", minutes=search.minutes, edit=edit, why=why)
    if ruling.arm and ruling.unchecked:
        names = ", ".join(ruling.unchecked)
        why = f"whether {ticked(ruling.arm)} keeps {names} was not tested: it may not be named then"
        return Next(do="test the limits", why=why)
    return None


def _cheapest_step(offers: Sequence[StepOption]) -> Next:
    return min(offers, key=lambda offer: offer.labels).step


def _is_decided(ruling: LadderDecision, short: bool) -> bool:
    """Return whether the verdict is firm and names an arm that does not miss the target."""
    return ruling.status == "firm" and ruling.use != "none" and not short


_WHY_SILENT = (
    "{} may answer more of the rows, and more rows may show it: at most {} wrong takes {} sure"
    " answers without an error"
)
_WHY_NO_THRESHOLD = "even the answers that an arm is most sure of are wrong more often"
_WHY_NEWER = (
    "which arm is ahead changed over the time of these rows, and more rows of that time can't say"
    " which one is ahead tomorrow"
)
_WHY_GROUPS = (
    "rows next to each other in the file have like results, and bounds that take each row as"
    " independent are too narrow; give rows of one source the same `group`"
)
_BLIND_ROWS = 100
_WHY_BLIND = (
    "errors that were accepted when answers were corrected count as right;"
    f" `tuneworthy check --blind {_BLIND_ROWS}` writes rows to label without seeing an answer"
)
_UNTRIED_STEPS = {
    "models": Next(
        do="measure a prompt or a tuned model",
        why="only classifiers and what runs today were measured, and another tool may be better by"
        " more than your margin: let `arms` name one that `model` (or `tune`) runs, or record its"
        " answers under `answers`",
    ),
    "documents": Next(
        do="measure retrieval",
        why="there are documents (data.docs), and no arm that reads them was measured: let `arms`"
        " name `rag`",
    ),
}
_WHY_SEARCH = "no search for a better prompt was run, and what it finds may do as well as training"
_ASK_AGAIN = "; `tuneworthy run` asks again where the server may answer now"
_WHY_FAILED = "some answers failed, and which arm is named depends on what they would have been"


def _step_to_show_more(evidence: Evidence, policy: Policy, silent: ArmResult | None) -> Next:
    """Return the step where an arm may answer more rows than these can show; None: none may."""
    if silent is None or policy.wrong_at_most is None:
        return Next(do="revise the limits", edit="success.wrong_at_most", why=_WHY_NO_THRESHOLD)
    least = least_rows(policy.wrong_at_most)
    rows = max(evidence.n, least - evidence.n)
    why = _WHY_SILENT.format(ticked(silent), percent(policy.wrong_at_most), least)
    return Next(do="label", rows=rows, why=why)


def _why_revise_limits(ladder: Ladder) -> str:
    names = ", ".join(ticked(arm) for arm in ladder.outside)
    if ladder.order:
        kept = "that keep them is shown to be about as good as what runs today"
        return f"each of {names} is shown to break one, and none of the arms {kept}"
    return f"each of {names} is shown to break one; relax it or measure an arm that keeps it"


def _step_to_answer_again(evidence: Evidence, arm: ArmResult, kind: str) -> Next:
    """Return the step that gets whole answers: more tokens if `kind` is "cut", else ask again."""
    why = f"answers of {ticked(arm)} {{}}, and what is left to gain depends on what they would be"
    if kind == "cut":
        return Next(do="raise output.max_tokens", why=why.format("were cut by the token limit"))
    return _failed_rows_step(evidence, why.format("failed"))


def _failed_rows_step(evidence: Evidence, why: str) -> Next:
    """Return the step that gives answers to the failed rows: only a person can record them."""
    failed = [arm for arm in evidence.arms if arm.finalist and arm.errors]
    rows = sum(arm.errors for arm in failed) or None
    if failed and all(arm.recorded for arm in failed):
        return Next(do="record the missing answers", rows=rows, why=why)
    return Next(do="answer the failed rows again", rows=rows, why=why + _ASK_AGAIN)


def _why_cut(arm: ArmResult) -> str:
    return (
        f"the token limit ended answers of {ticked(arm)}, and which arm is named depends on what"
        " they would have been"
    )


def _wants_bigger(evidence: Evidence, policy: Policy, ruling: LadderDecision, short: bool) -> bool:
    measured = any(arm.tool == "bigger" and arm.score for arm in evidence.arms)
    return not measured and (short or (ruling.use == "none" and may_gain(evidence, policy, None)))


def _step_to_measure_bigger(evidence: Evidence, policy: Policy, ruling: LadderDecision) -> Next:
    if offer := bigger_option(evidence, policy, ruling.arm):
        return offer.step
    reason = "no arm beats the reference" if ruling.use == "none" else "the target is not reached"
    why = f"{reason}, and whether a larger model could do it is not measured (key `bigger`)"
    return Next(do="measure bigger", rows=evidence.n, why=why)


def _step_to_give_cost(ladder: Ladder) -> Next | None:
    if ladder.present is None:
        return Next(do="name what runs today", why="motive cost compares with it (key `present`)")
    if ladder.present.usd_per_1k is None:
        why = "motive cost needs a price (economics.machine_hour or economics.prices)"
        return Next(do="write down economics", why=why)
    return None


def _step_if_firm(evidence: Evidence, policy: Policy, ruling: LadderDecision) -> Next:
    if ruling.use == "keep":
        why = (
            f"nothing measured here is worth the"
            f" change{unmeasured_clause(evidence, policy, ruling.arm)}"
        )
        return Next(do="keep", why=why)
    if ruling.arm is None:
        why = "no measured arm beats the reference: look at the rows and at what the input holds"
        return Next(do="rethink the task", why=why)
    why = "more labelled rows would not change which arm is named"
    curve = next((one for one in evidence.curves if one.arm == ruling.arm.name), None)
    if curve and curve.last_doubling and curve.last_doubling.low > 0:
        gained = points(curve.last_doubling.mean)
        why += f", but may raise its score: the last doubling gained {gained}"
    return Next(do="use it", why=why + unmeasured_clause(evidence, policy, ruling.arm))


def _step_options(
    evidence: Evidence,
    policy: Policy,
    ruling: LadderDecision,
    open_now: UndecidedPair | None,
) -> list[StepOption]:
    offers = _options_to_price(evidence, policy, ruling)
    if policy.motive == "quality" and (larger := bigger_option(evidence, policy, ruling.arm)):
        offers.append(larger)
    if open_now is None:
        return offers
    if open_now.size is None:
        return [*offers, StepOption(0.5, _step_when_no_rows_settle(policy, open_now))]
    offers += _options_to_settle(evidence, policy, open_now, open_now.size)
    offers.append(_option_to_label(policy, open_now, open_now.size))
    return offers + _options_to_collect(evidence, policy, open_now)


def _options_to_settle(
    evidence: Evidence, policy: Policy, open_now: UndecidedPair, size: SampleSize
) -> list[StepOption]:
    pair, inputs = open_now.pair, min(size.inputs, evidence.pool)
    if pair.apart is None or not inputs or evidence.locked:  # settling works on open rows only
        return []
    chance = open_now.outlook.chance_by_clicks(inputs)
    if inputs < size.inputs and chance < min(_LEAST_SETTLE_CHANCE, size.chance):
        return []
    clicks = round(inputs * pair.apart / pair.n)
    why = (
        f"label only those of {inputs:,} new inputs on which {ticked(open_now.arm)} and"
        f" {ticked(open_now.versus)} answer differently: it ends as soon as it is settled,"
        f" with a chance of {chance_text(chance)}{open_now.why}"
    )
    usd = None if policy.label_each is None else clicks * LABELS_PER_CLICK * policy.label_each
    step = Next(do="settle", rows=inputs, clicks=clicks, usd=usd, why=why)
    return [StepOption(clicks * LABELS_PER_CLICK, step, settles=chance >= _LEAST_SETTLE_CHANCE)]


def _option_to_label(policy: Policy, open_now: UndecidedPair, size: SampleSize) -> StepOption:
    n = open_now.pair.n
    rows = size.more(n)
    usd = None if policy.label_each is None else rows * policy.label_each
    sooner = "" if size.sooner is None else f" (with {n:,} more: {chance_text(size.sooner)})"
    pair = f"{ticked(open_now.arm)} is worth it against {ticked(open_now.versus)}"
    if open_now.is_whole_verdict:
        aim = f"of a firm verdict (most open: whether {pair})"
    else:
        aim = f"to show whether {pair}"
    repeats = open_now.pair.repeats
    again = repeats.instead_of(rows, n) if repeats else None
    instead = f"; {again:,} more answers to each row narrow as much" if again else ""
    why = (
        f"with {rows:,} more labelled rows the chance {aim} is"
        f" {chance_text(size.chance)}{sooner}{open_now.why}{instead}"
    )
    return StepOption(
        rows,
        Next(do="label", rows=rows, usd=usd, why=why),
        settles=size.chance >= _LEAST_SETTLE_CHANCE,
    )


def _options_to_collect(
    evidence: Evidence, policy: Policy, open_now: UndecidedPair
) -> list[StepOption]:
    """Return [option to collect training rows] if the rival is tuned and still climbs, else []."""
    curve = next((one for one in evidence.curves if one.arm == open_now.arm.name), None)
    more = rows_to_collect(curve, evidence.train) if curve else None
    if curve is None or more is None or evidence.train is None:
        return []
    climbs = curve.last_doubling is not None and curve.last_doubling.low > 0
    rows = more.rows
    if open_now.arm.tool != "tune" or not climbs or not 0 < rows <= 3 * evidence.train:
        return []
    usd = None if policy.label_each is None else rows * policy.label_each
    known = curve.low is not None and curve.high is not None
    ends = f" (80 %: {curve.low:,.0f} to {curve.high:,.0f})" if known else ""
    why = (
        f"{ticked(open_now.arm)} still gains as rows are added: from about {curve.needed:,.0f} rows"
        f" in all{ends} it should beat what learns nothing by {points(policy.margin)}"
    )
    return [StepOption(rows, Next(do="collect", rows=rows, usd=usd, why=why))]


def _step_when_no_rows_settle(policy: Policy, open_now: UndecidedPair) -> Next:
    outlook = open_now.outlook
    if outlook.below < -1:  # a reference is to be beaten, and no margin is asked of it
        why = (
            f"even {outlook.most_rows - open_now.pair.n:,} more labelled rows show"
            f" {ticked(open_now.arm)} above {ticked(open_now.versus)} only with a chance of"
            f" {chance_text(outlook.chance(outlook.most_rows))}: look at the rows and at what the"
            " input holds"
        )
        return Next(do="rethink the task", why=why)
    aim = "of a firm verdict" if open_now.is_whole_verdict else "to settle it"
    why = (
        f"{tool_with_name(open_now.arm)} stands near the margin of {points(policy.margin)}: with"
        f" {outlook.most_rows - open_now.pair.n:,} more labelled rows the chance {aim} is"
        f" {chance_text(outlook.chance(outlook.most_rows))}; what such a gain is worth"
        " to you decides (the report shows the verdict at every margin)"
    )
    return Next(do="decide the margin", why=why)


def _options_to_price(
    evidence: Evidence, policy: Policy, ruling: LadderDecision
) -> list[StepOption]:
    """Return [option to write down the one missing price] if that can make it firm, else []."""
    keys: tuple[PriceKey, ...] = ("value_of_correct", "requests_per_month")
    lacking = [key for key in keys if not getattr(policy, key)]
    scenarios = ladder_scenarios(evidence, policy)
    if len(lacking) != 1 or unknown_costs(scenarios.seen.rivals) or policy.motive != "quality":
        return []
    stretches = rulings_by_key(scenarios, policy, lacking[0])
    firm = [stretch for stretch in stretches if stretch.ruling.status == "firm"]
    if not firm:
        return []
    same = [stretch for stretch in firm if stretch.ruling.use_and_name == ruling.use_and_name]
    best = (same or firm)[0]
    why = (
        f"the verdict is firm ({_named_text(best.ruling)}) where {_range_clause(lacking[0], best)}"
    )
    return [StepOption(0.0, Next(do="write down economics", rows=0, usd=0.0, why=why))]


def _named_text(ruling: LadderDecision) -> str:
    return f"{ruling.use}: {ticked(ruling.arm)}" if ruling.arm else "none"


def _range_clause(key: PriceKey, stretch: PriceInterval) -> str:
    low = _price_text(key, stretch.low)
    if stretch.high is None:
        return f"economics.{key} is above {low}"
    return f"economics.{key} lies between {low} and {_price_text(key, stretch.high)}"


def _price_text(key: PriceKey, value: float) -> str:
    unit = "$" if key == "value_of_correct" else ""
    return f"{unit}{value:,.0f}" if value >= 100 else f"{unit}{value:.3g}"
