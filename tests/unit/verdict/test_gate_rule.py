"""The rule of a gate: what an interval says at a margin, why nothing is said, what settles it."""

import numpy as np
import pytest

from tuneworthy.matrix.design import Design
from tuneworthy.records.errors import TaskError
from tuneworthy.records.evidence import Pair, Repeats
from tuneworthy.verdict import gate_flips
from tuneworthy.verdict.gate_flips import FlipRate, FlipReport, flip_report
from tuneworthy.verdict.gate_rule import (
    GATE_CODES,
    Gate,
    GateLook,
    GatePolicy,
    judge_change,
    outcome_of,
)

POLICY = GatePolicy(0.05)
NEXT_LEVEL = 0.025 / 4


def pair(mean=0.0, low=-0.08, high=0.08, n=200, repeats=None, wins=30, losses=30):
    return Pair(arm="new", versus="old", n=n, mean=mean, low=low, high=high, level=0.025,
                factor=1.0, wins=wins, losses=losses, differ=wins + losses,
                repeats=repeats)  # fmt: skip


def judged(found, doubts=(), holds=True):
    return judge_change(found, POLICY, NEXT_LEVEL, doubts, holds)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.01, 0.09, "better"),
        (0.0, 0.09, "no worse"),
        (-0.04, 0.09, "no worse"),
        (-0.04, -0.01, "no worse"),  # a shown loss that the user said does not matter
        (-0.05, 0.09, "cannot say"),
        (-0.05, 0.0, "cannot say"),
        (-0.05, -0.001, "worse"),
        (-0.2, -0.06, "worse"),
    ],
)
def test_an_interval_says_one_of_four_things(low, high, outcome):
    assert outcome_of(low, high, 0.05) == outcome


def test_each_outcome_has_its_sentence_and_its_code():
    told = {
        "better": judged(pair(0.05, 0.01, 0.09)),
        "no worse": judged(pair(-0.02, -0.04, -0.001)),
        "worse": judged(pair(-0.1, -0.16, -0.04)),
        "cannot say": judged(pair()),
    }
    assert {name: found.outcome for name, found in told.items()} == {name: name for name in told}
    assert told["better"].sentence == (
        "B − A is +5 points (+1 to +9) on 200 rows, so B is shown to be better."
    )
    assert "B is shown to lose, but less than the margin, 5 points" in told["no worse"].sentence
    assert "B may lose, but less" in judged(pair(0.0, -0.04, 0.04)).sentence
    assert "shown to be worse; it may lose more than the margin" in told["worse"].sentence
    assert told["cannot say"].sentence.endswith("B may lose more than the margin, 5 points.")
    assert ": B leads, which is not shown, and B may" in judged(pair(0.02, -0.08, 0.1)).sentence
    assert ": A leads, which is not shown, and B may" in judged(pair(-0.02, -0.1, 0.08)).sentence
    assert ": B leads, which is not shown; B may" in judged(pair(0.02, -0.04, 0.08)).sentence
    assert "+1 point (" in judged(pair(0.01, 0.001, 0.02)).sentence
    assert [POLICY.exit_code(name) for name in told] == [0, 0, 3, 4] == [*GATE_CODES.values()]
    assert GatePolicy(0.05, pass_unsure=True).exit_code("cannot say") == 0
    assert GatePolicy(0.05, pass_unsure=True).exit_code("worse") == 3
    assert Gate(told["worse"], POLICY, None, GateLook(1), "", "rows", "looks").exit_code == 3
    assert [found.next_step for name, found in told.items() if name != "cannot say"] == [""] * 3


@pytest.mark.parametrize(
    ("margin", "level"),
    [(2, 0.05), (1.001, 0.05), (-0.01, 0.05), (float("nan"), 0.05), (0.05, 5), (0.05, 0.5),
     (0.05, 0), (0.05, float("nan"))],
)  # fmt: skip
def test_a_policy_in_points_is_refused_wherever_it_comes_from(margin, level):
    with pytest.raises(TaskError, match="between 0 and"):
        GatePolicy(margin, level)


def test_rows_or_answers_with_faults_never_pass():
    for good in (pair(0.05, 0.01, 0.09), pair(0.0, -0.04, 0.04)):
        found = judged(good, ["3 rows have an answer without a score"])
        assert (found.outcome, found.next_step) == ("cannot say", "")
        assert found.sentence.endswith("200 rows, but 3 rows have an answer without a score.")
    bad = pair(-0.1, -0.16, -0.04)
    assert judged(bad, ["a doubt"]).outcome == "worse", "a doubt does not save a worse system"
    found = judged(bad, ["rows depend"], holds=False)
    assert found.outcome == "cannot say", "no interval holds, so a loss is not shown either"
    assert "−10 points on 200 rows" in found.sentence
    assert "to" not in found.sentence.partition(" on ")[0]


def test_what_would_settle_it_is_told():
    found = judged(pair(0.035, -0.052, 0.12, n=200, wins=41, losses=34))
    assert 100 < found.rows.more(200) < 800
    assert found.repeats is None
    assert "within margins above 5.2 points, but a margin that is chosen after" in found.next_step
    assert "nothing. About 550 more rows" in found.next_step
    assert "more rows like these would settle it" in found.next_step
    many = {"mean": 0.01, "low": -0.06, "high": 0.08, "n": 2000, "wins": 700, "losses": 680}
    noisy = judged(pair(**many, repeats=Repeats(k=1, share=0.9, rows_alone=200)))
    assert 3 <= noisy.repeats <= 12
    assert f"or {noisy.repeats} answers to each row in place of 1" in noisy.next_step
    quiet = judged(pair(**many, repeats=Repeats(k=2, share=0.01, rows_alone=200)))
    assert quiet.repeats is None, "answers hardly vary: more of them show nothing"


def test_rows_that_are_unlikely_to_do_are_told_with_their_chance():
    found = judged(pair(-0.025, -0.09, 0.04, n=400, wins=75, losses=85))
    assert 0.25 < found.rows.chance < 0.75
    assert "Even 1,200 more rows like these would settle it only with a" in found.next_step
    many = judged(pair(-0.025, -0.09, 0.04, n=400, wins=75, losses=85,
                       repeats=Repeats(k=1, share=0.95, rows_alone=400)))  # fmt: skip
    assert f"About {many.repeats} answers to each row in place of 1" in many.next_step


def test_a_difference_of_nothing_at_a_margin_of_nothing_stays_open():
    none = pair(0.0, -0.0325, 0.0325, n=2000, wins=275, losses=275)
    found = judge_change(none, GatePolicy(0.0005), NEXT_LEVEL)
    assert (found.outcome, found.rows, found.repeats) == ("cannot say", None, None)
    assert found.next_step.endswith("Even 8,000 rows are unlikely to settle it.")


@pytest.fixture
def _few_pairs(monkeypatch):
    monkeypatch.setattr(gate_flips, "_PAIRS", 40)


def answers(k, n=120, seed=1, spread=True):
    rng = np.random.default_rng(seed)
    chance = rng.beta(2, 0.9, n) if spread else (rng.random(n) < 0.7).astype(float)
    return dict(enumerate((rng.random((n, k)) < chance[:, None]).astype(float).tolist()))


@pytest.mark.usefixtures("_few_pairs")
def test_a_gate_tells_how_often_it_flips_and_how_many_answers_stop_that():
    report = flip_report(Design(), answers(6), GatePolicy(0.1))
    assert report.k == 6
    by_k = {rate.k: rate for rate in report.rates}
    assert {k for k, rate in by_k.items() if rate.recorded} == {1, 2, 3}
    assert all(sum(rate.shares.values()) == pytest.approx(1) for rate in report.rates)
    assert by_k[1].flips > 0.2 > 0.02 >= by_k[report.needed].flips
    assert report.now is by_k[6]
    assert by_k[1].shares.get("better", 0) == by_k[1].shares.get("worse", 0), "both directions"
    assert report.rates[-1].k < 50, "nothing more is tried once flips stay under the goal"


@pytest.mark.usefixtures("_few_pairs")
def test_too_few_rows_are_told_as_such():
    report = flip_report(Design(), answers(2, n=40), GatePolicy(0.06))
    assert report.rates[-1].flips == pytest.approx(0), "it can never pass"
    assert (report.rates[-1].k, report.needed) == (50, None)


@pytest.mark.usefixtures("_few_pairs")
def test_of_one_answer_a_row_only_the_worst_case_is_known():
    report = flip_report(Design(), answers(1), GatePolicy(0.1))
    assert report.k == 1
    assert (report.rates, report.needed, report.now) == ((), None, None)
    assert 0.3 < report.most.flips <= 0.6


def test_answers_that_never_vary_never_flip():
    same = {case: one[:1] for case, one in answers(1).items()}
    report = flip_report(Design(), same, GatePolicy(0.1), alike=3)
    assert (report.k, report.needed, report.now.flips) == (3, 3, 0)
    assert report.now.shares == {"no worse": 1.0}


def test_better_and_no_worse_tell_ci_the_same():
    assert FlipRate(1, {"better": 0.5, "no worse": 0.5}).flips == 0
    assert FlipRate(1, {"worse": 0.5, "cannot say": 0.5}).flips == 0.5
    assert FlipReport(2, (FlipRate(1, {"worse": 1.0}),)).now is None
