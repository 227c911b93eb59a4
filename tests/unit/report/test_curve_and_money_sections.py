"""The sections on more rows and on money: their charts, their sentences, and what is refused."""

import pytest
import study_fixture
from study_fixture import drawn

from tuneworthy.explain.questions import enough_data
from tuneworthy.matrix.sizing import rows_to_collect
from tuneworthy.records.further import LabelCleaningGain, LearningCurve, LearningPoint
from tuneworthy.records.interval import Interval
from tuneworthy.report._data import score_matrix
from tuneworthy.report.cost_section import chance_line, cost_section
from tuneworthy.report.training_sections import cleaning_line, learning_section, rows_line


def at(rows, mean):
    return LearningPoint(rows=rows, n=250, repeats=5,
                         score=Interval(mean=mean, low=mean - 0.05, high=mean + 0.05))  # fmt: skip


CURVE = LearningCurve(
    arm="lora", tool="tune", points=(at(50, 0.6), at(100, 0.7), at(200, 0.76)), rival="constrained",
    last_doubling=Interval(mean=0.06, low=0.01, high=0.11), needed=320, low=260, high=460,
)  # fmt: skip


@pytest.fixture(scope="module")
def results():
    return study_fixture.study()


def with_curve(results, curve):
    evidence = results.evidence.model_copy(update={"curves": (curve,)})
    return results.model_copy(update={"evidence": evidence})


def test_a_curve_says_how_many_more_rows_to_collect(results):
    text = drawn(learning_section(with_curve(results, CURVE)))
    more = "Collect about 120 more rows (80 %: 60 to 260) for lora to beat constrained by 5 points."
    assert more in text
    assert "From 100 to 200 rows it gained +6 (+1 … +11) points (95 %)." in text
    assert text.count("<circle") == 3
    assert text.count('class="ci"') == 3


def test_a_curve_that_says_nothing_says_why(results):
    silent = CURVE.model_copy(update={"needed": None, "because": "pre-power: it still steepens"})
    assert "not known: pre-power" in rows_line(silent, 0.05)
    none = LearningCurve(arm="lora", tool="tune", because="no minutes are left")
    text = drawn(learning_section(with_curve(results, none)))
    assert ("<figure" in text, text.count("<p")) == (False, 1)


def test_rows_that_are_there_already_are_not_asked_for():
    enough = CURVE.model_copy(update={"needed": 90, "low": 60, "high": 150})
    assert "has enough rows" in rows_line(enough, 0.05)
    least = CURVE.model_copy(update={"needed": 50, "low": 50, "high": 50})
    assert "by 5 points: 50 or fewer do (fewer not measured)." in rows_line(least, 0.05)
    maybe = CURVE.model_copy(update={"needed": 180, "low": 120, "high": 300})
    assert "may have enough rows" in rows_line(maybe, 0.05)


def test_what_cleaning_is_worth_is_said_or_why_not():
    seen = LabelCleaningGain(arm="tfidf", rows=160, dropped=12, n=250,
                    gain=Interval(mean=0.02, low=-0.01, high=0.05))  # fmt: skip
    assert "Without the 12 of 160 training rows" in cleaning_line(seen)
    none = LabelCleaningGain(arm="tfidf", rows=160, dropped=0, because="no row is denied")
    assert "not measured: no row is denied" in cleaning_line(none)
    assert cleaning_line(None) == ""


def priced(results, **more):
    rows = [
        {"name": "constrained", "usd_per_request": 0.0026, "build_usd": 900.0,
         "upkeep_usd_month": 0.0},
        {"name": "lora", "usd_per_request": 0.00031, "build_usd": 6300.0,
         "upkeep_usd_month": 807.0, **more},
    ]  # fmt: skip
    economics = {**results.verdict.economics, "arms": rows, "horizon_months": 12,
                 "p_net_higher": 0.04, "assumed": ["a <b>"], "expires": "2027-01-14"}  # fmt: skip
    verdict = results.verdict.model_copy(update={"economics": economics})
    return results.model_copy(update={"verdict": verdict})


def test_total_cost_is_drawn_with_break_even_and_the_users_volume(results):
    text = drawn(cost_section(priced(results), score_matrix(results)))
    drawing = text.partition("Cost a month over requests a month")[2]
    assert drawing.count("<polyline") == 2
    for said in ("break-even", ">you<", "lora is worth more with a chance of 4 %",
                 "a &lt;b&gt;"):  # fmt: skip
        assert said in drawing, said
    assert "382,000" in text


def test_without_a_cost_there_is_no_chart_but_a_reason(results):
    bare = priced(results, build_usd=None)
    missing = {
        **bare.verdict.missing,
        "/economics/arms/1/build_usd": "set economics.hours_to_build",
    }
    verdict = bare.verdict.model_copy(update={"missing": missing})
    bare = bare.model_copy(update={"verdict": verdict})
    text = drawn(cost_section(bare, score_matrix(results)))
    assert "Cost a month over requests" not in text
    assert "Cost a month is not drawn: set economics.hours_to_build." in text


def test_what_is_not_known_of_money_is_said_once(results):
    economics = {**results.verdict.economics, "p_net_higher": None}
    missing = {"/economics/p_net_higher": "not known: cost a request"}
    verdict = results.verdict.model_copy(update={"economics": economics, "missing": missing})
    line = chance_line(results.model_copy(update={"verdict": verdict}))
    keys = "hours_to_build, engineer_hour, hosting_month, hours_per_retrain"
    assert line.endswith(f"is not known: economics (task.yaml) lacks {keys}.")


def test_rows_to_collect_are_one_number_on_page_and_in_the_question(results):
    evidence = results.evidence.model_copy(update={"curves": (CURVE,), "train": 250})
    step = enough_data._collect_step(evidence, CURVE)
    more = rows_to_collect(CURVE, 250)
    assert (more.rows, more.low, more.high) == (70, 10, 210)
    assert step == "collect about 70 more rows"
    assert "about 70 more rows (80 %: 10 to 210)" in rows_line(CURVE, 0.05, 250)
    assert enough_data._collect_step(evidence.model_copy(update={"train": 330}), CURVE) == (
        "collect more rows"
    )
