"""The rule: keep, retrain or repeat the verdict, by what is shown and by nothing else."""

import pytest
from check_scenes import check, drift, facts, labels, mean, unlike
from tests.unit.handover.check_scenes import share_of

from tuneworthy.handover.conclusion import ERROR_SHARES, LEAST_ROWS, conclude
from tuneworthy.records.interval import ALPHA
from tuneworthy.records.live_check import Expiry

SHOWN, NOT_SHOWN = ERROR_SHARES["inputs"], ERROR_SHARES["inputs"] + 0.001


def done(**changes):
    return conclude(check(**changes)).do


def test_the_shares_spend_the_level_once():
    assert sum(ERROR_SHARES.values()) == pytest.approx(ALPHA)


def test_where_nothing_is_shown_it_is_kept_with_its_bounds():
    found = conclude(check())
    assert found.do == "keep"
    assert "p .400" in found.because
    assert found.because.startswith("nothing is shown to have changed: ")
    assert "validity changed by " in found.because
    assert found.rows is None
    assert found.unseen == {"score": "no request has a right answer", "slow": "no limit on latency"
                            " was set"}  # fmt: skip
    blind = conclude(check(valid=None, inputs=None, facts=None, labels=None))
    assert blind.do == "keep"
    assert "can show little" in blind.because
    assert set(blind.unseen) == set(ERROR_SHARES)


@pytest.mark.parametrize("measure", ["valid", "score"])
def test_a_fall_that_is_shown_within_the_margin_is_not_called_no_change(measure):
    found = conclude(check(**{measure: mean(0.87, 0.90, half=0.01)}))
    assert found.do == "keep"
    assert "nothing is shown to have changed" not in found.because
    assert found.because.startswith("no fall by 5 points, your margin, is shown: ")
    assert "−3" in found.because


def test_drift_of_an_arm_that_learns_asks_for_new_rows():
    found = conclude(check(inputs=drift(SHOWN)))
    assert (found.do, found.rows, found.rows_low, found.rows_high) == ("retrain", 120, 80, 160)
    assert "label some of the requests first" in found.because
    assert done(inputs=drift(NOT_SHOWN)) == "keep"
    # The part with the largest share of the log sets the number.
    assert conclude(check(inputs=drift(SHOWN), unlike=unlike(100))).rows == 200
    assert conclude(check(inputs=drift(SHOWN, (0.01, 0, 0.02)), unlike=None, labels=None)).rows == (
        LEAST_ROWS
    )
    unknown = conclude(check(inputs=drift(SHOWN), learnt_rows=None))
    assert (unknown.do, unknown.rows) == ("retrain", None)
    assert "not known" in unknown.because


def test_drift_of_an_arm_that_learns_nothing_asks_for_a_new_verdict():
    found = conclude(check(inputs=drift(SHOWN), learns=False))
    assert found.do == "repeat the verdict"
    assert found.rows is None
    assert done(labels=labels(ERROR_SHARES["labels"]), learns=False) == "repeat the verdict"
    assert done(labels=labels(ERROR_SHARES["labels"] + 0.001), learns=False) == "keep"


def test_a_score_that_is_shown_to_hold_outweighs_drift():
    held = mean(0.90, 0.90, half=0.03)
    found = conclude(check(inputs=drift(SHOWN), score=held))
    assert found.do == "keep"
    assert "although the inputs drifted" in found.because
    wide = mean(0.90, 0.90, half=0.06)
    assert done(inputs=drift(SHOWN), score=wide) == "retrain"
    assert "the score held" in conclude(check(score=held)).because


def test_a_score_that_is_shown_to_have_dropped_needs_no_drift():
    assert done(score=mean(0.70, 0.90)) == "repeat the verdict"
    found = conclude(check(score=mean(0.70, 0.90), inputs=drift(SHOWN)))
    assert (found.do, found.rows) == ("retrain", 120)
    assert "label some" not in found.because
    assert done(score=mean(0.70, 0.90), inputs=drift(SHOWN), learns=False) == "repeat the verdict"
    assert done(score=mean(0.87, 0.90, half=0.01)) == "keep"  # shown, and less than the margin
    assert done(score=mean(0.70, 0.90, half=0.3)) == "keep"  # a large drop that is not shown
    assert done(score=mean(0.70)) == "keep"  # not compared


def test_a_broken_form_or_limit_asks_for_a_new_verdict():
    assert done(valid=mean(0.80, 0.98)) == "repeat the verdict"
    assert done(valid=mean(0.80, 0.98), inputs=drift(SHOWN)) == "repeat the verdict"
    assert done(valid=mean(0.90, 0.92), valid_limit=0.96) == "repeat the verdict"
    assert done(valid=mean(0.90, 0.92), valid_limit=0.94) == "keep"
    assert done(slow=share_of(40, 200, 0.005), p95_limit=800.0) == "repeat the verdict"
    assert done(slow=share_of(12, 200, 0.005), p95_limit=800.0) == "keep"


def test_facts_that_moved_and_an_expiry_that_passed_come_first():
    held = mean(0.90, 0.90, half=0.01)
    found = conclude(check(facts=facts(40, old=30), score=held))
    assert found.do == "repeat the verdict"
    assert "40 of 200 requests" in found.because
    assert "moved facts in 20 % of all" in found.because
    assert "30 of the answers" in found.because
    assert done(facts=facts(12)) == "keep"  # 6 %, and not shown to exceed 5 %
    assert done(facts=facts(12), stale_ok=0.01) == "repeat the verdict"
    passed = Expiry(day="2026-01-31", passed=True, because="the model is retired")
    assert "expired on 2026-01-31" in conclude(check(expiry=passed, score=held)).because


def test_an_arm_that_reads_documents_is_stale_only_if_its_answers_are():
    assert done(facts=facts(40, old=0), reads_docs=True) == "keep"
    found = conclude(check(facts=facts(40, old=30), reads_docs=True))
    assert found.do == "repeat the verdict"
    assert "old facts in 15 % of all" in found.because
    few = facts(4, n=2_000, old=4)  # every answer on a moved fact is old, and hardly any is on one
    assert done(facts=few, reads_docs=True) == "keep"
    assert done(facts=facts(0), reads_docs=True) == "keep"


def test_it_is_pure():
    one = check(inputs=drift(SHOWN))
    assert conclude(one) == conclude(one.model_copy()) == conclude(check(inputs=drift(SHOWN)))
