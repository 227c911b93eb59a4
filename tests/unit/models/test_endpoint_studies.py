"""Whole studies over HTTP: a model that thinks, rows that are refused, an alias that moves."""

import json

import pytest
from models_kit import says
from tests import studies

from tuneworthy.flows.study import RunOptions, run
from tuneworthy.records.errors import BudgetError, ModelError
from tuneworthy.records.results import Results
from tuneworthy.report.html import page
from tuneworthy.report.terminal import ladder_screen, table

ARMS = ["present", "majority", "zero_shot", "few_shot"]


def label(body):
    """Return the label that the scripted model gives: by two of the words of each label."""
    text = body["messages"][-1]["content"]
    found = [n for n in studies.LABELS if any(word in text for word in studies.WORDS[n][:2])]
    return found[0] if found else "warranty"


def plain(body):
    return says(label(body), usage={"prompt_tokens": 20, "completion_tokens": 3})


def thinks(needs, tags):
    """Return the same model, which reasons for `needs` tokens first, in tags or in a field."""

    def turn(body):
        room = body.get("max_tokens") or body["max_completion_tokens"]
        whole, cut = room > needs + 3, "The message says that. " * 4
        thought = f"<think>{cut}" if tags else cut
        if not whole:
            content = {"content": thought} if tags else {"content": "", "reasoning_content": cut}
            return says(message=content, finish_reason="length",
                        usage={"prompt_tokens": 20, "completion_tokens": room})  # fmt: skip
        answer = label(body)
        message = {"content": f"{thought}</think>\n\n{answer}"} if tags else {
            "content": answer, "reasoning_content": thought}  # fmt: skip
        return says(message=message,
                    usage={"prompt_tokens": 20, "completion_tokens": needs + 3})  # fmt: skip

    return turn


@pytest.fixture
def study(serve, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def make(turn, name="study", said=None, **task):
        server = serve(turn)
        keys = {"arms": ARMS, "output": {"type": "label"}, **task}
        path = studies.write(tmp_path / name, model=f"openai:m@{server.url}", **keys)
        tell = (lambda event, data: said.append((event, data))) if said is not None else None
        return server, path, lambda: run(path, RunOptions(pay=True), tell)

    return make


def told(verdict):
    return (verdict.use, verdict.arm, verdict.status, verdict.left_on_table,
            [(a.name, a.state, a.score, a.delta) for a in verdict.arms])  # fmt: skip


@pytest.mark.parametrize("tags", [pytest.param(False, marks=pytest.mark.long), True])
def test_d3_a_thinking_endpoint_ends_in_the_verdict_of_its_plain_twin(tags, study):
    twin = study(plain, "plain")[2]().verdict
    assert next(a for a in twin.arms if a.name == "zero_shot").score.mean > 0.6
    said = []
    _, _, go = study(thinks(80, tags), f"thinks-{tags}", said)
    done = go()
    assert told(done.verdict) == told(twin)
    notes = [d for event, d in said if event == "say" and "reasons before" in str(d)]
    assert len(notes) == 1
    answers = [a for r in done.results.runs if r.fingerprint for a in r.answers]
    assert {a.finish for a in answers} == {"stop"}
    assert min(a.tokens_thought for a in answers) > 0
    screen = ladder_screen(done.results, 100).plain
    assert "reasons before it answers" in " ".join(screen.split())
    assert "reasons before it answers" in page(done.results)


@pytest.mark.long
def test_d5_latency_is_that_of_the_request_and_says_how_many_were_under_way(study):
    def slow(body):
        return {"sleep": 0.02, **plain(body)}

    _, _, go = study(slow, max_connections=3, success={"limits":
                                                       {"p95_ms": 5000}})  # fmt: skip
    done = go()
    arm = next(a for a in done.results.evidence.arms if a.name == "zero_shot")
    assert arm.latency_ms.p50 >= 20, "no look-up in our own store"
    assert arm.latency_ms.concurrency == 3
    assert arm.limits["p95_ms"] == "met"
    told = json.loads((done.folder / "verdict.json").read_text())
    own = next(a for a in told["arms"] if a["name"] == "zero_shot")
    assert own["latency_ms"]["concurrency"] == 3
    assert "up to 3 requests under way" in " ".join(table(done.results, 120).plain.split())
    assert "up to 3 requests under way" in page(done.results)
    assert go().results.evidence == done.results.evidence


@pytest.mark.long
def test_d4_a_refused_row_is_an_unscored_case_and_the_study_ends(study):
    def turn(body):
        text = body["messages"][-1]["content"]
        if text.rstrip().endswith("7"):
            error = {"message": "maximum context length is 8 tokens"}
            return {"status": 400, "json": {"error": error}}
        return plain(body)

    server, _, go = study(turn)
    done = go()
    arm = next(a for a in done.results.evidence.arms if a.name == "zero_shot")
    assert arm.state == "measured"
    assert 0 < arm.errors < arm.n
    asked = len(server.seen)
    assert go().verdict == done.verdict
    assert len(server.seen) == asked


def test_d8_a_moved_alias_fails_the_arms_after_it_and_keeps_those_before(study):
    count = [0]

    def turn(body):
        count[0] += 1
        return says(label(body), model="m-1" if count[0] <= 100 else "m-2")

    done = study(turn)[2]()
    arms = {a.name: a for a in done.results.evidence.arms}
    assert (arms["zero_shot"].state, arms["few_shot"].state) == ("measured", "failed")
    because = str(arms["few_shot"].because)
    assert "m-1, then m-2" in because
    assert "\n" not in because, "a reason is one line"
    served = {a.served for r in done.results.runs if r.fingerprint for a in r.answers}
    assert served == {"m-1"}


@pytest.mark.long
def test_d8_an_alias_that_moves_after_the_arms_costs_no_verdict(study, monkeypatch):
    from tuneworthy.measure.further import runner as beside

    def moved(*args):
        raise ModelError("the endpoint changed the model in mid-study", got="m-1, then m-2")

    monkeypatch.setattr(beside, "measure_robustness", moved)
    only = beside.TEMPERATURES
    monkeypatch.setattr(beside, "why_left_out", lambda plan, what: "" if what == only else "no")
    monkeypatch.setattr(beside, "robustness_arms", lambda *args: ["zero_shot"])
    done = study(plain)[2]()
    assert done.verdict.arms
    assert "m-1, then m-2" in done.results.evidence.missing["shakes"]


@pytest.mark.long
def test_d8_requests_of_unknown_outcome_are_listed_with_count_and_worst_price(study):
    cut = [3]

    def turn(body):
        if cut[0]:
            cut[0] -= 1
            return {"raw": b'{"a": 1}', "promise": 500}
        return plain(body)

    said = []
    prices = {"m": {"in": 1, "out": 2}}
    _, _, go = study(turn, said=said, economics={"prices": prices}, budget={"usd": 5})
    done = go()
    found = done.results.reproduce
    assert found["unknown outcomes"].startswith("3 requests")
    assert len(found["requests of unknown outcome"]) == 3
    assert "up to $0.00" in found["unknown outcomes"]
    screen = " ".join(ladder_screen(done.results, 100).plain.split())
    assert "3 requests sent whose outcome is not known" in screen
    assert "#" in page(done.results)
    again = Results.model_validate_json((done.folder / "results.json").read_text())
    assert again.reproduce == found


def test_options_of_two_roles_with_one_model_are_sent_apart(study, serve):
    turn = plain
    server = serve(turn)
    spec = f"openai:m@{server.url}"
    options = {"model": {"reasoning_effort": "low"}, "bigger": {"reasoning_effort": "high"}}
    _, path, _ = study(turn)
    text = json.loads(path.read_text()) | {"model": spec, "bigger": spec, "options": options,
                                           "arms": ["present", "zero_shot", "bigger"]}  # fmt: skip
    path.write_text(json.dumps(text))
    run(path, RunOptions(pay=True))
    sent = [s["body"]["reasoning_effort"] for s in server.seen]
    assert sent.count("low") >= 60
    assert sent.count("high") >= 60


def test_p3_a_budget_is_the_tasks_and_not_one_for_each_option(study):
    prices = {"m": {"in": 10, "out": 100}}
    server, path, _ = study(plain, economics={"prices": prices}, budget={"usd": 0.02})
    with pytest.raises(BudgetError):
        run(path)
    asked = len(server.seen)
    assert asked > 3
    for options in (RunOptions(minutes=7), RunOptions(brief=True), RunOptions(minutes=8)):
        with pytest.raises(BudgetError) as error:
            run(path, options)
        assert "of $0.02 committed" in error.value.got
    assert len(server.seen) <= asked + 1, "the first one asks for the list of models again"
