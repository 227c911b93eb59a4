"""A lead that moves with time is said, and takes `firm` away where the last part turns it round."""

import pytest
from verdict_scenes import evidence, scores

from tuneworthy.records.evidence import Policy
from tuneworthy.records.split import TREND_ALPHA, Neighbours, SegmentMeans, Trend
from tuneworthy.verdict.decide import decide, grid
from tuneworthy.verdict.drift import break_sentence, decisive_breaks, significant_breaks
from tuneworthy.verdict.rule import apply_rule, ladder_scenarios

N = 400


def trend(arm, versus, before, after, p=0.0002, **more):
    sides = {"before": SegmentMeans(n=240, arm=before[0], versus=before[1]),
             "after": SegmentMeans(n=160, arm=after[0], versus=after[1])}  # fmt: skip
    fields = {"n": N, "p": p, "from_time": "2024-05-01", **sides, **more}
    return Trend(arm=arm, versus=versus, **fields)


def scene(*trends, **more):
    columns = {
        "present": ("keep", scores(N, 0.5), {"present": True}),
        "prompt": ("prompt", scores(N, 0.55, 1)),
        "tune": ("tune", scores(N, 0.9, 2), more),
    }
    return evidence(columns, trends=trends)


def policy(**changes):
    return Policy(**{"margin": 0.05, **changes})


def verdict(found, **changes):
    return decide(found, (), policy(**changes))


TURNED = trend("tune", "present", (0.9, 0.3), (0.35, 0.6))


def test_without_a_trend_the_tuned_arm_is_firm():
    plain = verdict(scene())
    assert (plain.use, plain.status) == ("tune", "firm")
    assert "by time" not in plain.because


def test_the_last_part_takes_firm_away_and_says_so():
    found = verdict(scene(TURNED))
    assert (found.use, found.arm, found.status) == ("tune", "tune", "provisional")
    assert (
        "`tune` scores .90 in the first 60 % of the rows by time and .35 after (from 2024-05-01"
        " on), `present` .30 and .60: the bounds speak of all these rows taken together, not of"
        " tomorrow's. In the last part another arm would be named, so this verdict is provisional."
    ) in found.because
    assert found.next.do == "measure on newer rows"
    strip = next(one for one in found.by_margin if one.margin == pytest.approx(0.05))
    assert strip.status == "provisional"
    same = [one for one in grid(scene(TURNED), (), policy()) if one.margin == pytest.approx(0.05)]
    assert {one.status for one in same} == {"provisional"}


def test_it_is_the_same_trend_whichever_arm_stands_first():
    other = TURNED.seen_from("present")
    assert other.after.lead == -TURNED.after.lead
    assert verdict(scene(other)) == verdict(scene(TURNED))


def test_a_lead_that_only_shrinks_is_said_and_stays_firm():
    found = verdict(scene(trend("tune", "present", (0.95, 0.3), (0.8, 0.6))))
    assert found.status == "firm"
    assert "the bounds speak of all these rows" in found.because
    assert "provisional" not in found.because


@pytest.mark.parametrize(
    "quiet",
    [
        trend("tune", "present", (0.9, 0.3), (0.35, 0.6), p=0.006),  # .01 is shared by two tests
        trend("tune", "present", (0.9, 0.3), (0.35, 0.6), p=None, because="too few"),
        trend("prompt", "present", (0.9, 0.3), (0.35, 0.6)),  # neither is the one named
        trend("tune", "other", (0.9, 0.3), (0.35, 0.6)),  # off the board
    ],
)
def test_what_is_not_shown_or_of_others_is_not_said(quiet):
    found = verdict(scene(quiet, trend("tune", "prompt", (0.9, 0.5), (0.9, 0.5), p=0.5)))
    assert found.status == "firm"
    assert "by time" not in found.because


def test_the_simpler_arm_is_contradicted_by_more_than_the_margin_only():
    columns = {"present": ("keep", scores(N, 0.9), {"present": True}),
               "tune": ("tune", scores(N, 0.6, 2))}  # fmt: skip
    for after, status in (((0.8, 0.84), "firm"), ((0.8, 0.86), "provisional")):
        one = trend("present", "tune", (0.95, 0.5), after)
        assert verdict(evidence(columns, trends=(one,))).status == status


def test_a_cheaper_arm_has_the_margin_whatever_its_rung():
    """Motive cost: within the margin of what runs today is all that is asked of it."""
    laid = ladder_scenarios(scene(), policy()).seen
    tune = next(one for one in laid.order if one.name == "tune")
    near = trend("tune", "present", (0.9, 0.3), (0.58, 0.6))
    assert decisive_breaks(laid, policy(motive="cost"), [near], tune) == []
    assert decisive_breaks(laid, policy(), [near], tune) == [near]


def test_the_break_that_turns_comes_first_and_the_unimportant_is_left_out():
    laid = ladder_scenarios(scene(fits=5, learnt_from=(80, 80)), policy()).seen
    tune = next(one for one in laid.order if one.name == "tune")
    mild = trend("tune", "prompt", (0.95, 0.3), (0.9, 0.6), p=0.0001)
    text = break_sentence(laid, policy(), [mild, TURNED], tune)
    assert text.startswith("`tune` scores .90")
    assert "also learnt from more rows later on" in text
    assert break_sentence(laid, policy(), [], tune) == ""
    today = break_sentence(laid, policy(), [TURNED], None)
    assert today.startswith("`present` scores .30"), "no arm is named: what runs today"
    assert "this verdict" not in today
    assert significant_breaks(laid, [TURNED], None) == []
    many = [TURNED.model_copy(update={"p": TREND_ALPHA / 2}), mild]
    assert significant_breaks(laid, many, tune) == many


def test_a_bare_break_has_no_time_and_no_side_can_be_turned():
    laid = ladder_scenarios(scene(), policy()).seen
    tune = next(one for one in laid.order if one.name == "tune")
    timeless = TURNED.model_copy(update={"from_time": None})
    assert "after, `present`" in break_sentence(laid, policy(), [timeless], tune)
    half = TURNED.model_copy(update={"after": None, "before": None})
    assert decisive_breaks(laid, policy(), [half], tune) == []
    assert half.seen_from("present").after is None


def test_nothing_is_said_where_nothing_runs_today_and_no_arm_is_named():
    columns = {"prompt": ("prompt", scores(N, 0.5)), "tune": ("tune", scores(N, 0.6, 2))}
    laid = ladder_scenarios(evidence(columns), policy()).seen
    assert (
        break_sentence(laid, policy(), [trend("tune", "prompt", (0.9, 0.3), (0.3, 0.9))], None)
        == ""
    )


def test_a_rule_without_an_arm_looks_at_no_trend():
    columns = {"reference": (None, scores(N, 0.9)), "tune": ("tune", scores(N, 0.5, 2))}
    found = evidence(columns, trends=(trend("tune", "reference", (0.9, 0.1), (0.1, 0.9)),))
    assert apply_rule(ladder_scenarios(found, policy()), policy()).arm is None


def test_the_interval_says_which_artefact_it_speaks_of():
    fitted = verdict(scene(fits=5, learnt_from=(80, 82))).because
    assert (
        "`tune` was fitted 5 times, on about 81 rows: its interval is that of one more such fit,"
        " as you would build it."
    ) in fitted
    grown = verdict(scene(fits=5, learnt_from=(25, 125))).because
    assert "on 25 to 125 rows" in grown
    assert "was fitted" not in verdict(scene(fits=1, learnt_from=(700, 700))).because


def alike(arm="tune", versus="present", p=0.0002, **more):
    return Neighbours(arm=arm, versus=versus, n=N, p=p, **more)


def test_rows_that_depend_on_their_neighbours_hold_firm_back():
    laid = scene().model_copy(update={"neighbours": (alike(column="doc"), alike("prompt", p=0.5))})
    found = verdict(laid)
    assert (found.use, found.status, found.next.do) == (
        "tune", "provisional", "name the groups of the rows",
    )  # fmt: skip
    assert "like differences of `tune` and `present`" in found.because
    assert "the same `group` (`doc` may name it)" in found.because
    assert found.because.count("no verdict is firm") == 1
    assert found.because.startswith("`tune` would be named if the bounds held; they do not")
    assert found.left_on_table is None
    assert "no bound holds" in found.missing["/left_on_table"]


@pytest.mark.parametrize("tests", [(), (alike(p=None),), (alike(p=0.02),), (alike("prompt"),)])
def test_neighbours_that_show_nothing_of_the_named_arm_change_nothing(tests):
    found = verdict(scene().model_copy(update={"neighbours": tests}))
    assert found.status == "firm"
    assert "next to each other" not in found.because


def test_right_answers_that_came_from_correcting_hold_firm_back():
    found = verdict(scene().model_copy(update={"corrected": True}))
    assert (found.use, found.status, found.next.do) == (
        "tune", "provisional", "label a blind sample",
    )  # fmt: skip
    assert "An error that the corrector accepted counts as right." in found.because
    assert found.left_on_table is None
