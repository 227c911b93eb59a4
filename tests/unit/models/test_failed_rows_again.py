"""Rows that failed for now are asked again by the next run; rows that fail for good are not."""

from functools import partial

import pytest
from models_kit import says
from tests import studies

from tuneworthy.flows.study import RunOptions, run
from tuneworthy.models.remote.wire import RetryPolicy

BRIEF = RunOptions(brief=True)
HICCUP = {"status": 500, "json": {"error": {"message": "internal hiccup"}}}
FILTERED = {"status": 400, "json": {"error": {"message": "content filter"}}}
CUT = {"raw": b'{"a": 1}', "promise": 500}
HOLDS_TOO_MUCH = {"status": 500, "json": {"error": {"message": "exceeds the context length"}}}


class Study:
    """A study at a server that fails for the rows in `bad`; `asked` lists the inputs since."""

    def __init__(self, serve, folder, **task):
        self.bad, self.asked = {}, []
        self.server = serve(self.turn)
        self.inputs = [row["input"] for row in studies.rows(60)]
        keys = {"arms": ["majority", "zero_shot"], "output": {"type": "label"},
                "budget": {"usd": 1}, "economics": {"prices": {"m": {"in": 1, "out": 1}}},
                **task}  # fmt: skip
        self.path = studies.write(folder, model=f"openai:m@{self.server.url}", **keys)

    def turn(self, body):
        text = body["messages"][-1]["content"]
        (row,) = [i for i, own in enumerate(self.inputs) if text.endswith(own)]
        self.asked.append(row)
        return self.bad.get(row) or says("refund")

    def run(self, watch=None):
        self.asked.clear()
        return run(self.path, BRIEF, watch)


@pytest.fixture
def study(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    once = partial(RetryPolicy, attempts=1)
    monkeypatch.setattr("tuneworthy.models.openai_compatible.RetryPolicy", once)
    return partial(Study, serve, tmp_path)


def errors(done, arm="zero_shot"):
    return next(a for a in done.results.evidence.arms if a.name == arm).errors


def test_the_next_run_asks_exactly_the_failed_rows_and_the_one_after_it_none(study):
    own = study()
    own.bad = dict.fromkeys((3, 4, 5, 6), HICCUP)
    first = own.run()
    assert sorted(own.asked) == sorted(range(60)), "each row once, also the failed ones"
    assert errors(first) == 4
    own.bad = {}
    second = own.run()
    assert sorted(own.asked) == [3, 4, 5, 6]
    assert errors(second) == 0
    assert second.folder == first.folder
    assert second.verdict != first.verdict
    assert own.run().results == second.results
    assert own.asked == []


def test_a_repetition_that_is_interrupted_loses_and_repeats_nothing(study):
    own = study()
    own.bad = dict.fromkeys((3, 40), HICCUP)
    own.run()
    own.bad = {40: HICCUP}

    def stop(event, data):
        if event == "step" and 3 in own.asked:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own.run(stop)
    own.bad = {}
    final = own.run()
    assert own.asked == [40], "and 3, which came, is not asked again"
    assert errors(final) == 0
    own.run()
    assert own.asked == []


def test_rows_that_fail_for_good_are_asked_once(study):
    own = study()
    own.bad = {7: FILTERED, 8: HOLDS_TOO_MUCH}
    first = own.run()
    assert errors(first) == 2
    assert own.run().results == first.results
    assert own.asked == []


def test_a_failure_that_may_have_been_billed_is_asked_in_two_runs_at_most(study):
    own = study()
    own.bad = {5: CUT, 9: HICCUP}
    for asked in ([5, 9], [9], [9]):  # an error that costs nothing is asked again in each run
        done = own.run()
        assert errors(done) == 2
        assert "temporary failure: " in " ".join(
            a.error or "" for r in done.results.runs for a in r.answers if r.fingerprint
        )
        assert set(asked) <= set(own.asked)
    assert own.asked == [9]


def test_a_judge_s_failed_request_is_sent_again(serve, tmp_path, monkeypatch):
    """The answers are recorded: only the judge is asked, with each answer in both orders."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    once = partial(RetryPolicy, attempts=1)
    monkeypatch.setattr("tuneworthy.models.openai_compatible.RetryPolicy", once)
    bad, asked = ["question 7 ?"], []

    def turn(body):
        asked.append(body["messages"][-1]["content"])
        fails = any(text in asked[-1] for text in bad)
        return HICCUP if fails else says("VERDICT: SAME")

    rows = [{"id": f"r{i}", "input": f"question {i} ?", "output": f"fact {i}"} for i in range(60)]
    logged = [{"id": row["id"], "answer": f"I think {row['output']}"} for row in rows]
    grades = [{**row, "grade": 1.0} for row in logged]
    path = studies.write(
        tmp_path, arms=["answers"], answers={"own": {"file": "own.jsonl", "tool": "prompt"}},
        output={"type": "text"}, present=None, model=None, budget={"usd": 1},
        success={"metric": "judge", "judge": {"model": f"openai:j@{serve(turn).url}",
                                              "grades": "human.jsonl"}},
        economics={"prices": {"j": {"in": 0, "out": 0}}},
    )  # fmt: skip
    for name, lines in (("rows", rows), ("own", logged), ("human", grades)):
        studies.lines(tmp_path / f"{name}.jsonl", lines)
    first = run(path, BRIEF)
    assert errors(first, "own") == 1
    asked.clear()
    bad.clear()
    assert errors(run(path, BRIEF), "own") == 0
    assert 2 <= len(asked) <= 6, "both orders; its calibration and tricks may use the row too"
    assert all("question 7 ?" in text for text in asked)
    asked.clear()
    run(path, BRIEF)
    assert asked == []
