"""Points 3 and 5: two recorded systems are answered first; no list that nobody can act on."""

from types import SimpleNamespace

import pytest
from tests import recorded

import tuneworthy
from tuneworthy.records.causes import Diagnosis
from tuneworthy.records.reason import Reason
from tuneworthy.report.html import page
from tuneworthy.report.recorded_lines import _cost_and_gain_sentence, tells_no_cause
from tuneworthy.report.terminal import ladder_screen


def study(folder, gap=0.2, n=150, seconds=None, **task):
    made = recorded.rows(n)
    systems = {"old": recorded.failing(made, lambda at: 0.35, seed=1),
               "new": recorded.failing(made, lambda at: 0.35 - gap, seed=2)}  # fmt: skip
    for answers in systems.values() if seconds else ():
        for at, answer in enumerate(answers):
            answer["seconds"] = seconds(at)
    return tuneworthy.run(recorded.write(folder, made, systems, **task)).results


def told(results, width=80):
    screen = ladder_screen(results, width).plain
    assert max(map(len, screen.split("\n"))) <= width
    return screen


def test_the_first_line_says_who_leads_with_the_bounds_of_the_verdict(tmp_path):
    results = study(tmp_path)
    screen = told(results)
    pair = next(p for p in results.evidence.pairs if {p.arm, p.versus} == {"old", "new"})
    lead = abs(pair.mean) * 100
    assert screen.startswith(f"  new leads by {lead:.1f}".removesuffix(".0"))
    assert "points, shown (+" in screen.split("\n")[0]
    assert screen.index("leads by") < screen.index("ladder")
    text = " ".join(screen.split())
    won, lost = sorted((pair.wins, pair.losses), reverse=True)
    assert f"new won {won}, lost {lost}, equal on {pair.n - won - lost}." in text
    verdict = screen.split("\n")[1].strip()
    assert verdict.endswith("   Use: new (recorded answers)")  # a line of its own
    assert verdict.startswith(("A recorded system.", "A recorded system, for now."))
    assert ". Its recorded answers: " in text
    assert "tool is not given" not in text
    assert "No tuned model was measured" not in text
    assert "What was wrong" not in text
    assert "not measured" not in text
    assert "new leads by" in page(results)


def test_what_is_not_shown_is_not_called_better(tmp_path):
    screen = told(study(tmp_path, gap=0.06))
    assert "not shown" in screen.split("\n")[0]
    assert "is better" not in screen
    assert "is ahead" not in screen
    assert "  A recorded system, for now.   Use: " in screen


def test_a_system_firmly_within_the_margin_is_not_called_better(tmp_path):
    results = study(tmp_path, gap=0.03, n=300, success={"margin": 0.2})
    screen = told(results)
    assert results.verdict.status == "firm"
    assert "not shown" in screen.split("\n")[0]
    assert "is better" not in screen
    assert ">A recorded system.<" in page(results)


@pytest.mark.parametrize(
    "reason", ["the causes are not known: x", "what was wrong was not read: x"]
)
def test_causes_that_were_not_read_are_not_listed_whichever_build_says_so(reason):
    found = Diagnosis(arm="zero_shot", n_fail=9, n_pass=9, because=reason)
    kept = SimpleNamespace(
        evidence=SimpleNamespace(arms=(), diagnosis=found), verdict=SimpleNamespace(wrong=()),
        task=SimpleNamespace(answers={}, present=None),
    )  # fmt: skip
    assert tells_no_cause(kept)
    seen = found.model_copy(update={"unread": False})
    kept.evidence.diagnosis = seen
    assert not tells_no_cause(kept)


def test_arms_without_their_package_or_key_stand_in_one_line(tmp_path, monkeypatch):
    for room in ("flows.session", "models._roles"):
        monkeypatch.setattr(f"tuneworthy.{room}.unusable", lambda spec:
                            Reason.not_installed(["torch"], "tuneworthy[train]"))  # fmt: skip
    results = study(tmp_path, arms=["zero_shot", "few_shot", "lora", "rag", "bigger", "tfidf"])
    text = " ".join(told(results).split())
    assert "Not run: 3 arms need tuneworthy[train] (pip install 'tuneworthy[train]');" in text
    assert "2 arms need bigger, data.docs." in text
    assert "skipped: needs" not in text
    assert "new leads by" in text


@pytest.mark.parametrize(
    ("seconds", "state"),
    [
        (lambda at: 0.4, "p95 ≤ 1,500 ms met"),
        (lambda at: 2.0 if at % 2 else 0.4, "p95_ms violated"),
    ],
)
def test_the_seconds_of_the_log_judge_the_latency_limit(tmp_path, seconds, state):
    results = study(tmp_path, seconds=seconds, success={"limits": {"p95_ms": 1500}})
    assert state in " ".join(told(results).split())


def test_a_log_without_seconds_says_where_to_write_them(tmp_path):
    results = study(tmp_path, success={"limits": {"p95_ms": 1500}})
    text = " ".join(told(results).split())
    assert "p95 ≤ 1,500 ms not measured" in text
    assert "the recorded answers have no `seconds`: write each one" in text
    missing = results.evidence.arms[-1].missing
    assert "set success.limits.p95_ms" not in " ".join(missing.values())


def test_a_missing_embedded_model_skips_its_arms_and_not_the_recorded_answers(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tuneworthy.models._roles.unusable", lambda spec: "")
    monkeypatch.setattr("tuneworthy.models.local.wheel.locate", lambda: None)
    results = study(tmp_path, arms=["zero_shot", "lora", "majority"])
    text = " ".join(told(results).split())
    assert "2 arms need smollm2-135m (tuneworthy models get smollm2-135m)." in text
    assert "new leads by" in text


def test_long_names_wrap_and_never_widen_the_screen(tmp_path):
    made = recorded.rows(60)
    names = ["the-" + "very-" * 8 + name for name in ("old-system", "new-system")]
    systems = {name: recorded.failing(made, lambda at: 0.3, seed=at) for at, name in
               enumerate(names)}  # fmt: skip
    screen = told(tuneworthy.run(recorded.write(tmp_path, made, systems)).results)
    assert " leads by " in " ".join(screen.split()) or "score the same" in screen


def priced(folder, old, new, gap=0.2):
    made = recorded.rows(150)
    systems = {"old": recorded.failing(made, lambda at: 0.35, seed=1),
               "new": recorded.failing(made, lambda at: 0.35 - gap, seed=2)}  # fmt: skip
    for name, usd in (("old", old), ("new", new)):
        for answer in systems[name]:
            answer["usd"] = usd
    results = tuneworthy.run(recorded.write(folder, made, systems)).results
    return " ".join(told(results).split())


def test_logged_dollars_say_what_a_system_costs_and_gains(tmp_path):
    cheaper = priced(tmp_path / "a", 0.002, 0.0005)
    assert "new costs $1.50 less per 1,000 requests than old, for" in cheaper
    assert "each $100 of its training is back after 66,700 requests" in cheaper
    dearer = priced(tmp_path / "b", 0.0005, 0.002)
    assert "new costs $1.50 more per 1,000 requests than old, for" in dearer
    assert "it is worth it where a right answer is worth more than $0.0" in dearer


@pytest.mark.parametrize(("more", "gain", "said"), [
    (0.0, 0.1, "a costs what b costs, by the logged dollars."),
    (2.0, 0.0, "and scores the same."),
    (2.0, -0.1, "and scores 10 points less on these rows."),
    (-2.0, -0.1, "for 10 points less on these rows: it is worth it where a right answer is worth"
     " less than $0.020."),
])  # fmt: skip
def test_each_kind_of_price_difference_has_its_sentence(more, gain, said):
    assert _cost_and_gain_sentence("a", "b", more, gain).endswith(said)
