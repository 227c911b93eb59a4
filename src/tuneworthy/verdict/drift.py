"""Find breaks over time, and neighbours that are alike, where the bounds of all rows mislead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from tuneworthy.records.counting import score_text
from tuneworthy.records.escape import quoted
from tuneworthy.records.evidence import ArmResult, Evidence, Policy
from tuneworthy.records.split import TREND_ALPHA, Neighbours, Trend
from tuneworthy.verdict.prices import known_prices
from tuneworthy.verdict.rungs import Ladder, ladder_key


def significant_breaks(
    ladder: Ladder, trends: Sequence[Trend], arm: ArmResult | None
) -> list[Trend]:
    """Return the breaks over time, significant ones only, between `arm` and others; [] for None.

    Each is seen from the named arm; the level is divided among all tests (Bonferroni).
    """
    if arm is None:
        return []
    others = {one.name for one in ladder.order if one.name != arm.name}
    mine = [
        trend.seen_from(arm.name)
        for trend in trends
        if trend.p is not None and {trend.arm, trend.versus} - {arm.name} <= others
        if arm.name in (trend.arm, trend.versus)
    ]
    return [trend for trend in mine if (trend.p or 0.0) <= TREND_ALPHA / len(mine)]


def _favours_other_arm(ladder: Ladder, policy: Policy, trend: Trend) -> bool:
    """Return whether the mean scores after a break would name the other arm, by the user's policy.

    By cost: the cheaper arm counts unless it lags by more than the margin; a dearer one takes over
    only from an arm in place of today's. By quality: the simpler arm wins where it is not behind,
    the other one where its gain, after prices, is above the margin.
    """
    if trend.after is None:
        return False
    arms = {arm.name: arm for arm in ladder.order}
    mine, other, lead = arms[trend.arm], arms[trend.versus], trend.after.lead
    if policy.motive == "cost" and ladder.present:
        today = ladder.present.name
        costs = [inf if arm.usd_per_1k is None else arm.usd_per_1k for arm in (mine, other)]
        if costs[1] < costs[0]:
            return lead <= (policy.margin if mine.name == today else 0.0)
        return other.name == today and lead < -policy.margin
    prices = known_prices(ladder.rivals, policy)
    if ladder_key(other) < ladder_key(mine) and policy.motive == "quality":
        return lead + (prices.shift(mine.name, other.name) if prices else 0.0) <= 0
    if prices:
        return prices.worth(-lead, other.name, mine.name) > 0
    return -lead > policy.margin


def decisive_breaks(
    ladder: Ladder, policy: Policy, trends: Sequence[Trend], arm: ArmResult | None
) -> list[Trend]:
    """Return the significant breaks after which another arm would be named."""
    breaks = significant_breaks(ladder, trends, arm)
    return [trend for trend in breaks if _favours_other_arm(ladder, policy, trend)]


def break_sentence(
    ladder: Ladder, policy: Policy, trends: Sequence[Trend], arm: ArmResult | None
) -> str:
    """Return a sentence on the most important break over time, or "" if none is significant.

    The break that would change the name comes first, then the most significant. If no arm is named,
    the breaks of what runs today count.
    """
    mine = arm or next((one for one in ladder.order if one.present), None)
    breaks = significant_breaks(ladder, trends, mine)
    against = {
        trend.versus for trend in breaks if arm and _favours_other_arm(ladder, policy, trend)
    }
    mentioned = {*against, *(_arms_to_mention(ladder, mine) if mine else ())}
    breaks = [trend for trend in breaks if trend.versus in mentioned]
    if mine is None or not breaks:
        return ""
    first = min(breaks, key=lambda trend: (trend.versus not in against, trend.p, trend.versus))
    line = (
        f"{break_line(first)}: the bounds speak of all these rows taken together, not of"
        " tomorrow's."
    )
    if mine.fits > 1 or any(one.fits > 1 for one in ladder.order if one.name == first.versus):
        line += " What was fitted here also learnt from more rows later on."
    if first.versus in against:
        line += " In the last part another arm would be named, so this verdict is provisional."
    return line


def _arms_to_mention(ladder: Ladder, arm: ArmResult) -> set[str]:
    """Return the names of today's arm and of the arm that may be better by most."""
    others = [one for one in ladder.order if one.name != arm.name]
    best = max(others, key=lambda one: ladder.bound(one, arm)[2], default=None)
    return {one.name for one in (best, ladder.present) if one}


def break_line(trend: Trend) -> str:
    """Return a clause with both arms' scores before and after a break."""
    assert trend.before is not None  # a significant break has both parts
    assert trend.after is not None
    first = round(100 * trend.before.n / trend.n)
    start = f" (from {quoted(trend.from_time, 40)} on)" if trend.from_time else ""
    return (
        f"`{quoted(trend.arm, 60)}` scores {score_text(trend.before.arm)} in the first {first} % of"
        f" the rows by time and {score_text(trend.after.arm)} after{start},"
        f" `{quoted(trend.versus, 60)}` {score_text(trend.before.versus)} and"
        f" {score_text(trend.after.versus)}"
    )


def alike_neighbours(
    ladder: Ladder, tests: Sequence[Neighbours], arm: ArmResult | None
) -> Neighbours | None:
    """Return the test that most clearly shows that neighbouring rows depend on each other, or None.

    Tests of the named arm count, or all if none is named; the level is divided among them
    (Bonferroni).
    """
    competing = {one.name for one in ladder.order}
    own = [
        test
        for test in tests
        if test.p is not None and {test.arm, test.versus} <= competing
        if arm is None or arm.name in (test.arm, test.versus)
    ]
    clear = [test for test in own if (test.p or 0.0) <= TREND_ALPHA / len(own)]
    return min(clear, key=lambda test: (test.p, test.arm, test.versus), default=None)


def neighbours_line(test: Neighbours) -> str:
    """Return the sentences on rows that depend on their neighbours, and how to name their source.

    The bounds of such rows are too narrow until their groups are named.
    """
    source = f" (`{quoted(test.column, 40)}` may name it)" if test.column else ""
    arms = f"`{quoted(test.arm, 60)}` and `{quoted(test.versus, 60)}`"
    chance = f"{100 * (test.p or 0.0):.2g} % of random orders of the rows"
    return (
        f"Rows near each other in the file have like differences of {arms}, as rows of one"
        f" document or customer have (by chance alone in {chance}). The bounds take rows without a"
        f" common `group` as independent. Give rows of one source the same `group`{source}; if each"
        " row has a source of its own, give each its own `group`."
    )


def sentences(
    ladder: Ladder, policy: Policy, evidence: Evidence, arm: ArmResult | None
) -> Iterator[str]:
    """Yield the sentences on what no bound allows for: right answers, time, neighbours."""
    if evidence.corrected:
        yield (
            "The right answers were written by correcting answers of what runs today"
            " (data.corrected). An error that the corrector accepted counts as right. No bound"
            " allows for that, so no verdict is firm."
        )
    yield break_sentence(ladder, policy, evidence.trends, arm)
    if test := alike_neighbours(ladder, evidence.neighbours, arm):
        yield f"{neighbours_line(test)} Until then no verdict is firm."
