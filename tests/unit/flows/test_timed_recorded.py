"""Recorded answers with a time: every row is scored, and a lead that moves with time is said."""

import json

import pytest
from tests import recorded
from tests.studies import lines

import tuneworthy
from tuneworthy.explain.questions import ask_all
from tuneworthy.flows.study import check
from tuneworthy.report.html import page
from tuneworthy.report.terminal import ladder_screen
from tuneworthy.verdict.recompute import recompute

N = 180
TOOLS = {"tune": "tune", "prompt": "prompt"}


def study(folder, late=0.1, arms=(), **more):
    made = recorded.rows(N, days=True)
    systems = {
        "present": recorded.failing(made, lambda at: 0.4),
        "tune": recorded.failing(made, lambda at: 0.1 if at < 0.6 * N else late, seed=2),
    }
    return recorded.write(folder, made, systems, TOOLS, arms, **more)


def by_name(results):
    return {arm.name: arm for arm in results.evidence.arms}


def test_recorded_arms_are_scored_on_every_row_and_fitted_ones_after_learning(tmp_path):
    found = tuneworthy.run(study(tmp_path, arms=["majority", "tfidf"])).results
    arms, pairs = by_name(found), {(p.arm, p.versus): p for p in found.evidence.pairs}
    assert found.evidence.n == N
    assert {name: arm.n for name, arm in arms.items()} == {
        "present": N, "tune": N, "majority": N - 30, "tfidf": N - 30,
    }  # fmt: skip
    assert pairs["tune", "present"].n == N
    assert pairs["tfidf", "present"].n == pairs["tune", "majority"].n == N - 30
    early = found.split.early
    assert len(early) == 30
    scored = {a.case for run in found.runs if run.spec.name == "tfidf" for a in run.answers}
    assert not scored & early
    mine = {a.case: s.value for run in found.runs if run.spec.name == "present"
            for a, s in zip(run.answers, run.scores, strict=True)}  # fmt: skip
    both = sum(mine[case] for case in scored) / len(scored)
    fitted = arms["tfidf"].score.mean
    assert pairs["tfidf", "present"].mean == pytest.approx(fitted - both, abs=1e-5)
    assert arms["tfidf"].learnt_from == (30, 150)
    assert arms["present"].learnt_from is None


def test_a_study_of_recorded_answers_alone_scores_all_rows(tmp_path):
    found = tuneworthy.run(study(tmp_path)).results
    assert {arm.n for arm in found.evidence.arms if arm.role == "candidate"} == {N}
    assert (found.split.k, len(found.split.parts)) == (5, 6)


@pytest.mark.long
def test_1000_rows_in_one_split_are_all_scored_too(tmp_path):
    made = recorded.rows(1000, days=True)
    systems = {"present": recorded.failing(made, lambda at: 0.4),
               "tune": recorded.failing(made, lambda at: 0.2, seed=2)}  # fmt: skip
    found = tuneworthy.run(
        recorded.write(tmp_path, made, systems, TOOLS, ["majority", "tfidf"])
    ).results
    arms = by_name(found)
    assert found.split.k == 1
    assert (arms["tune"].n, arms["present"].n) == (1000, 1000)
    assert 290 <= arms["tfidf"].n == arms["majority"].n <= 340
    pair = next(p for p in found.evidence.pairs if (p.arm, p.versus) == ("tfidf", "present"))
    assert (pair.n, pair.factor) == (arms["tfidf"].n, 1.0)


@pytest.mark.long
def test_a_file_that_begins_later_is_not_called_wrong(tmp_path):
    path = study(tmp_path, arms=["tfidf"])
    first = {row["id"] for row in recorded.rows(N, days=True)[:30]}
    kept = [json.loads(line) for line in (tmp_path / "tune.jsonl").open()]
    lines(tmp_path / "tune.jsonl", [one for one in kept if one["id"] not in first])
    kinds = {seen.kind for seen in check(path).observations}
    assert "answers_missing" not in kinds
    arms = by_name(tuneworthy.run(path).results)
    assert (arms["tune"].n, arms["tune"].errors, arms["present"].n) == (N - 30, 0, N)
    lines(tmp_path / "tune.jsonl", [one for one in kept if one["id"] != "r0"])
    assert "answers_missing" in {seen.kind for seen in check(path).observations}


def test_a_lead_that_turns_is_said_everywhere_and_is_not_firm(tmp_path):
    found = tuneworthy.run(study(tmp_path, late=0.75)).results
    (trend,) = [t for t in found.evidence.trends if {t.arm, t.versus} == {"present", "tune"}]
    assert trend.p <= 0.01
    assert trend.before.n + trend.after.n == trend.n == N
    assert 0.5 < trend.before.n / N < 0.7
    said = "the bounds speak of all these rows taken together, not of tomorrow's"
    assert found.verdict.status == "provisional"
    assert said in found.verdict.because
    assert said in " ".join(ladder_screen(found, 120).plain.split())
    assert "Over time" in page(found)
    again = recompute(found, ask_all)
    assert again.differs == ()


def test_a_steady_lead_is_firm_and_nothing_is_said(tmp_path):
    found = tuneworthy.run(study(tmp_path)).results
    assert (found.verdict.arm, found.verdict.status) == ("tune", "firm")
    assert "by time" not in found.verdict.because
    assert found.evidence.trends[0].p > 0.01


def test_without_times_nothing_is_tested(tmp_path):
    made = recorded.rows(60)
    systems = {"present": recorded.failing(made, lambda at: 0.4),
               "tune": recorded.failing(made, lambda at: 0.2, seed=2)}  # fmt: skip
    found = tuneworthy.run(recorded.write(tmp_path, made, systems, TOOLS)).results
    assert found.evidence.trends == ()
    assert len(found.split.parts) == 5
