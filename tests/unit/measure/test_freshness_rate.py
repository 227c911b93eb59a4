"""How long a frozen model stays fresh, by declared or counted change; who follows documents."""

import json
from dataclasses import replace
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import studies

from tuneworthy.explain.hard_limits import with_faithfulness
from tuneworthy.flows.session import open_session
from tuneworthy.measure.further import freshness_rate as staleness
from tuneworthy.measure.further.freshness_rate import (
    days_until_stale,
    freshness_of,
    measure_freshness,
)
from tuneworthy.measure.units import measure
from tuneworthy.models import scripted
from tuneworthy.records.arm import Recipe
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import ArmResult
from tuneworthy.records.further import Proportion
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.run import RunOptions
from tuneworthy.records.specs import specs
from tuneworthy.records.task import CENTURY, Task, duration_days
from tuneworthy.rows.docs import Doc
from tuneworthy.stats.bounds import rate


def task(**more):
    return Task.model_validate({"data": {"file": "rows.jsonl"}, "output": {"type": "text"}, **more})


def doc(name, since=None, until=None, text="x"):
    return Doc.model_validate({"id": name, "text": text, "from": since, "to": until})


def row(name, output, time=None, of=None):
    turn = (Message(role="user", content=f"What is {name}?"),)
    return Case(id=name, messages=turn, output=output, time=time, meta={"doc_id": of} if of else {})


def share(k, n):
    low, high = rate(k, n)
    return Proportion(k=k, n=n, share=k / n, low=low, high=high)


def test_declared_change_gives_the_days_of_the_formula():
    found = freshness_of(task(knowledge={"changed_share": 0.03, "over": "30d"}), (), ())
    speed = -log(1 - 0.03) / 30
    assert found.declared
    assert found.days.mean == pytest.approx(-log(1 - 0.05) / speed)
    assert found.days.low == found.days.high == found.days.mean
    assert round(found.days.mean, 1) == 50.5
    twice = freshness_of(
        task(knowledge={"changed_share": 0.03, "over": "30d", "stale_ok": 0.1}), (), ()
    )
    assert twice.days.mean > 2 * found.days.mean


@pytest.mark.parametrize(
    ("text", "days"), [("30d", 30), ("2w", 14), ("12 h", 0.5), ("1y", 365.25), ("1.5m", 45.65625)]
)
def test_spans(text, days):
    assert duration_days(text) == pytest.approx(days)


@pytest.mark.parametrize(
    ("text", "why"),
    [("soon", "no span"), ("", "no span"), ("-3d", "no span"), ("0d", "above 0"),
     ("0.0 w", "above 0"), ("0." + "0" * 400 + "1y", "above 0"), ("101y", "a century"),
     ("9" * 400 + "d", "a century")],
)  # fmt: skip
def test_no_span_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        duration_days(text)


@pytest.mark.parametrize(
    ("knowledge", "days"),
    [({"changed_share": 1e-300}, CENTURY), ({"changed_share": 5e-324}, CENTURY),
     ({"changed_share": 1e-17, "stale_ok": 1e-17}, 30.0), ({"changed_share": 0.0}, CENTURY),
     ({"changed_share": 0.1, "stale_ok": 0.0}, 0.0),
     ({"changed_share": 0.1, "stale_ok": -0.0}, 0.0),
     ({"changed_share": 1.0}, 0.0), ({"changed_share": 1.0, "stale_ok": 1.0}, CENTURY)],
)  # fmt: skip
def test_shares_at_either_end_have_days_and_none_is_minus_0(knowledge, days):
    found = freshness_of(task(knowledge={**knowledge, "over": "30d"}), (), ())
    assert found.days.mean == pytest.approx(days)
    assert "-" not in f"{found.days.mean} {found.days.mean:,.0f}"


def test_documents_seconds_apart_have_a_span_above_0():
    first, second = "2024-01-01T08:00:00Z", "2024-01-01T08:00:20Z"
    docs = [doc("a", first, second), doc("b", first), doc("c", second)]
    found = freshness_of(task(), [row("q", "x")], docs)
    assert found.over_days == pytest.approx(20 / 86_400)
    assert found.days.low <= found.days.mean < 0.001


@given(st.integers(1, 60), st.integers(1, 60))
def test_more_change_means_fewer_days_and_the_interval_holds_the_mean(k, more):
    n = 60 + more
    found = days_until_stale(share(k, n), 365.0, 0.05)
    assert 0 <= found.low < found.mean < found.high <= CENTURY
    assert days_until_stale(share(min(k + 1, n), n), 365.0, 0.05).mean < found.mean


def test_where_nothing_changed_only_the_low_end_is_known():
    found = days_until_stale(share(0, 50), 365.0, 0.05)
    assert found.mean == found.high == CENTURY
    assert 0 < found.low < CENTURY


def test_counted_from_documents_that_were_in_force_together():
    docs = [doc(f"a{i}", "2023-01-01", "2024-01-01") for i in range(10)]
    docs += [doc(f"b{i}", "2024-01-01") for i in range(10)]  # their successors count no second time
    docs += [doc(f"c{i}", "2023-01-01") for i in range(30)]
    found = freshness_of(task(), [row("q", "x", "2025-01-01")], docs)
    assert (found.changed.k, found.changed.n, found.over_days) == (10, 40, 731.0)
    assert (found.changed.low, found.changed.high) == pytest.approx(rate(10, 40), abs=1e-6)
    assert found.days.low < found.days.mean < found.days.high
    shorter = freshness_of(task(), [row("q", "x")], docs)
    assert shorter.over_days == 365.0, "without rows the last date of a document ends the time"


@pytest.mark.parametrize(
    ("docs", "why"),
    [
        ([], "no documents"),
        ([doc("a"), doc("b")], "no document is dated"),
        ([doc("a", "2023-01-01")], "one date"),
        ([doc("a", "3", "7")], "numbers"),
    ],
)
def test_what_is_not_known_has_a_reason_and_no_number(docs, why):
    found = freshness_of(task(), [row("q", "x")], docs)
    assert why in found.because
    assert (found.changed, found.days, found.over_days) == (None, None, None)


def test_rows_that_no_current_passage_supports_are_listed():
    docs = [doc("a", "2023-01-01", "2024-01-01", "The fee is 11 days."),
            doc("b", "2024-01-01", None, "The fee is 5 days.")]  # fmt: skip
    cases = [row("old", "11 days", of="a"), row("new", "5 days", of="b")]
    assert freshness_of(task(), cases, docs).unsupported == ("old",)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Forty facts in documents; the model reads a passage, and knows the old facts without one."""

    def respond(prompt, limits):
        said = scripted.last_user(prompt)
        number = int(said.rsplit("office", 1)[1].split("?")[0])
        marks = [line for line in said.splitlines() if f"office{number} " in line]
        return marks[0].rsplit(" ", 2)[1] + " days" if marks else f"{number + 10} days"

    monkeypatch.setitem(scripted._BUILT_IN, "reads", respond)
    docs = [{"id": f"d{i}", "text": f"The leave at office{i} is {i + 10} days"} for i in range(40)]
    rows = [{"id": f"r{i}", "input": f"What is the leave at office{i}?", "output": f"{i + 10} days",
             "context": {"doc": f"d{i}"}} for i in range(40)]  # fmt: skip
    studies.lines(tmp_path / "docs.jsonl", docs)
    studies.lines(tmp_path / "rows.jsonl", rows)
    keys = {"data": {"file": "rows.jsonl", "docs": "docs.jsonl"}, "model": "scripted:reads",
            "output": {"type": "text", "max_tokens": 8},
            "success": {"metric": "exact", "limits": {"context_faithful": 0.9}},
            "arms": ["zero_shot", "oracle", {"rag": {"k": 1, "dense": False}}]}  # fmt: skip
    (tmp_path / "task.yaml").write_text(json.dumps(keys))
    return lambda: open_session(tmp_path / "task.yaml", RunOptions())


def test_changed_documents_are_read_with_the_prompts_that_an_arm_chose(desk, monkeypatch):
    handed = {}

    def noted(bench, planned, recipes, dev):
        handed[planned.spec.name] = (bench.runs, list(recipes))
        return measure(bench, planned, recipes, dev)

    with desk() as one:
        best, own = Recipe(kind="nearest", k=1), Recipe(kind="nearest", k=2)
        bench = one.runner()
        folds = tuple(range(len(bench.split.parts)))
        arms = [PlannedArm(spec=spec, folds=folds, seeds=(0,)) for spec in specs(one.task)]
        runs = [run.model_copy(update={"recipe": own}) for run in
                measure(bench, arms[-1], [best for _ in folds], False)]  # fmt: skip
        monkeypatch.setattr(staleness, "measure", noted)
        measure_freshness(replace(bench, runs=runs), arms, runs, [best for _ in folds])
        assert set(handed) == {"rag(k=1, dense=False)"}, "an arm that was not measured is not asked"
        ceiling = next(arm for arm in arms if arm.spec.arm == "oracle")
        runs += measure(bench, ceiling, [best for _ in folds], False)
        measure_freshness(replace(bench, runs=runs), arms, runs, [best for _ in folds])
    assert handed == {
        "oracle": ((), [best for _ in folds]),
        "rag(k=1, dense=False)": ((), [own for _ in folds]),
    }


def test_who_reads_the_documents_says_the_new_fact_and_the_others_the_old_one(desk):
    with desk() as one:
        bench = one.runner()
        recipes = [Recipe() for _ in bench.split.parts]
        folds = tuple(range(len(recipes)))
        arms = [PlannedArm(spec=spec, folds=folds, seeds=(0,)) for spec in specs(one.task)]
        runs = [run for arm in arms for run in measure(bench, arm, recipes, False)]
        asked = measure_freshness(bench, arms, runs, recipes)
        found = freshness_of(one.task, list(one.sealed.open("test").values()), bench.docs, asked)
        n = found.stale["zero_shot"].n
        assert n >= 35
        assert found.stale["zero_shot"].k == n
        assert {k: (s.k, s.n) for k, s in found.faithful.items()} == {
            "oracle": (n, n), "rag(k=1, dense=False)": (n, n),
        }  # fmt: skip
        assert all(found.stale[name].k == 0 for name in found.faithful)
        keys = len(one.ledger.keys(one.study))
        assert measure_freshness(bench, arms, runs, recipes) == asked
        assert len(one.ledger.keys(one.study)) == keys, "what was asked is never asked again"


def arm(name):
    return ArmResult(
        name=name, tool="context", role="candidate", simplicity=1, options={}, state="measured",
        limits={"context_faithful": "not measured"},
    )  # fmt: skip


def test_the_limit_has_three_states_and_stays_open_for_arms_that_read_nothing():
    limited = task(success={"metric": "exact", "limits": {"context_faithful": 0.9}})
    shares = {"met": share(60, 60), "violated": share(30, 60), "open": share(53, 60)}
    found = with_faithfulness(limited, [arm(name) for name in (*shares, "blind")], shares)
    assert [one.limits["context_faithful"] for one in found] == [
        "met", "violated", "not shown", "not measured",
    ]  # fmt: skip
    assert with_faithfulness(task(), [arm("met")], shares) == (arm("met"),)
