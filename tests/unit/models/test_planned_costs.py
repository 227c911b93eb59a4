"""D14: a plan's requests, tokens and dollars are compared with those sent to an endpoint."""

import json
import re

import pytest
from models_kit import Server, says
from tests import studies

from tuneworthy.cli._options import Watcher
from tuneworthy.flows.study import RunOptions, plan, run
from tuneworthy.records.plan import Plan
from tuneworthy.report.plans import plan_screen
from tuneworthy.store.mirror import reply_seconds

PRICES = {"in": 2.0, "out": 8.0}
N = 120
FACTOR = 2.5  # within which the expected tokens are those that were sent


def answered(body):
    """Answer as a model that is right for most inputs, and count tokens as the estimate does."""
    text = body["messages"][-1]["content"]
    at = next((at for at, one in enumerate(studies.LABELS) for w in studies.WORDS[one]
               if w in text.partition("number")[0]), 0)  # fmt: skip
    said = studies.LABELS[(at + (len(re.findall("[37]", text)) > 1)) % 3]  # some are wrong
    if "VERDICT" in text:
        said = "Both say the same. VERDICT: SAME"
    if "Find out what the mistakes" in text:
        said = f"```\nName the topic: refund, delivery or warranty. {len(text)}\n```"
    if "response_format" in body:
        said = json.dumps({"label": said})
    size = sum(-(-len(m["content"].encode()) // 4) + 4 for m in body["messages"]) + 3
    if "response_format" in body:
        size += len(json.dumps(body["response_format"])) // 4
    usage = {"prompt_tokens": size, "completion_tokens": len(said) // 4 + 1}
    return says(said, usage=usage)


@pytest.fixture
def server():
    found = Server([answered])
    yield found
    found.close()


def study(folder, server, arms, **task):
    spec = f"openai:m-1@{server.url}"
    keys = {"model": spec, "present": None, "arms": arms, "economics": {"prices": {"m-1": PRICES}},
            "budget": {"usd": 1000, "minutes": 60}, **task}  # fmt: skip
    return studies.write(folder, N, **{k: spec if v == "SPEC" else v for k, v in keys.items()})


def sent(server):
    """Return the requests, tokens and dollars of the calls that the server got."""
    told = [answered(one["body"])["json"]["usage"] for one in server.seen]
    read, written = (sum(t[k] for t in told) for k in ("prompt_tokens", "completion_tokens"))
    dollars = (read * PRICES["in"] + written * PRICES["out"]) / 1e6
    return len(told), read + written, dollars


def bounds(planned, server):
    """Compare the worst case of a plan with the calls that were sent."""
    total = planned.sent
    requests, tokens, dollars = sent(server)
    assert total.most_requests >= requests > 0
    assert total.most_tokens >= tokens
    assert total.most_usd >= dollars


def check(planned, server):
    """Compare the worst and the expected case of a plan with the calls that were sent."""
    bounds(planned, server)
    total = planned.sent
    requests, tokens, dollars = sent(server)
    assert total.requests / FACTOR <= requests <= total.requests * FACTOR
    assert total.tokens / FACTOR <= tokens <= total.tokens * FACTOR
    assert total.usd / FACTOR <= dollars <= total.usd * FACTOR


DRAFTS = {"constrained": {"draft": True}}
ARMS = {
    "prompts": ["majority", "zero_shot", "few_shot", "nearest_shots"],
    "search": ["zero_shot", "few_shot", "optimised_prompt", "constrained"],
    "vote": ["majority", "zero_shot", {"vote": {"m": 4}}],
    "draft": ["majority", "zero_shot", DRAFTS],
}


TIERS = {
    "search": pytest.mark.long,
    "draft": pytest.mark.full,
    "prompts": pytest.mark.long,
    "vote": pytest.mark.long,
}
FULL = [pytest.param(arms, id=name, marks=TIERS.get(name, ())) for name, arms in ARMS.items()]


@pytest.mark.parametrize("arms", FULL)
def test_the_plan_bounds_what_is_sent(tmp_path, server, arms):
    every = {"usd": 1000, "minutes": 60, "stages": False}
    path = study(tmp_path, server, arms, budget=every)
    planned = plan(path)
    assert not server.seen  # a plan sends nothing
    run(path)
    bounds(planned, server)
    if arms[-1] != DRAFTS:  # how many drafts are valid is not foreseen
        check(planned, server)


@pytest.mark.parametrize("warm", [0, 1])
def test_rows_that_are_asked_again_are_planned_and_sent_so_often(tmp_path, server, warm):
    every = {"usd": 1000, "minutes": 60, "stages": False}
    path = study(tmp_path, server, ["majority", "zero_shot"], budget=every, repeats=3,
                 options={"model": {"temperature": warm}})  # fmt: skip
    planned = plan(path)
    run(path)
    check(planned, server)
    prompt = next(arm.sent for arm in planned.arms if arm.spec.name == "zero_shot")
    assert prompt.requests >= (3 if warm else 1) * N
    asked = [one["body"]["seed"] for one in server.seen]
    assert len(set(asked)) == (3 if warm else 1), "each draw has a seed of its own"


@pytest.mark.full
def test_a_search_with_a_larger_model_is_planned(tmp_path, server):
    path = study(tmp_path, server, ["zero_shot", {"gepa": {"budget": 3}}], teacher="SPEC")
    planned = plan(path)
    run(path)
    bounds(planned, server)
    gepa = next(arm.sent for arm in planned.arms if arm.spec.arm == "gepa")
    assert gepa.most_requests > gepa.requests > N


def test_half_of_the_diagnosis_is_expected(tmp_path, server):
    arms = ["zero_shot", "few_shot", {"nearest_shots": {"k": 2}}, "optimised_prompt"]
    by_rule = plan(study(tmp_path / "a", server, arms))
    every = {"usd": 1000, "minutes": 60, "stages": False}
    asked = sum(arm.sent.usd for arm in by_rule.arms)
    across = sum(arm.sent.usd for arm in by_rule.across)
    assert by_rule.sent.usd == pytest.approx(asked + across / 2)
    whole = plan(study(tmp_path / "b", server, arms, budget=every))
    assert whole.sent.usd > by_rule.sent.usd


@pytest.mark.long
def test_a_judge_is_planned(tmp_path, server):
    grades = [{"id": f"r{n}", "answer": f"an answer {n}", "grade": n % 2} for n in range(55)]
    judge = {"model": f"openai:m-1@{server.url}", "grades": "grades.jsonl"}
    path = study(tmp_path, server, ["majority", "zero_shot"], output={"type": "text"},
                 success={"metric": "judge", "judge": judge})  # fmt: skip
    studies.lines(tmp_path / "grades.jsonl", grades)
    planned = plan(path)
    assert [one.what for one in planned.others] == ["the judge"]
    run(path)
    bounds(planned, server)
    total, (_, tokens, _) = planned.sent, sent(server)
    assert tokens * FACTOR >= total.tokens / 2  # right answers, which none judges, are not foreseen


def test_what_runs_today_is_planned_where_it_is_asked(tmp_path, server):
    (tmp_path / "prompt.md").write_text("Name the topic of this message in one word: {input}")
    present = {"model": f"openai:m-1@{server.url}", "prompt": "prompt.md"}
    path = study(tmp_path, server, ["present", "majority"], present=present, model=studies.MODEL)
    planned = plan(path)
    run(path)
    check(planned, server)


def test_a_shared_prompt_counts_with_every_request(tmp_path, server):
    long = "Read the message and name its topic. " * 100
    planned = plan(study(tmp_path, server, ["majority", "zero_shot"], instruction=long))
    arm = next(arm.sent for arm in planned.arms if arm.sent)
    assert arm.tokens > N * len(long) / 5


def test_minutes_stand_on_an_assumption_that_earlier_requests_replace(tmp_path, server):
    path = study(tmp_path, server, ["majority", "zero_shot"])
    planned = plan(path)
    assert planned.assumed == "2 s a request (assumed), 8 at a time"
    assert planned.minutes == pytest.approx(N * 2 / 8 / 60, abs=0.01)
    run(path)
    seconds = reply_seconds(tmp_path / ".tuneworthy")
    assert len(seconds) >= N
    again = plan(study(tmp_path, server, ["majority", "zero_shot", "nearest_shots"]))
    assert re.match(r"\S+ s a request \(median of \d+ earlier ones\), 8 at a time", again.assumed)
    assert again.minutes < planned.minutes


def test_connections_make_it_quicker(tmp_path, server):
    path = study(tmp_path, server, ["majority", "zero_shot"], max_connections=2)
    assert plan(path).minutes == pytest.approx(N * 2 / 2 / 60, abs=0.01)


def test_screens_show_both_prices_and_a_plan_is_kept_with_them(tmp_path, server):
    path = study(tmp_path, server, ["majority", "zero_shot"])
    planned = plan(path)
    text = " ".join(plan_screen(planned).plain.split())
    assert "$ expected $ at most" in text
    assert "every answer at its longest; retries aside): about $" in text
    row = next(line for line in plan_screen(planned).plain.splitlines() if "zero_shot" in line)
    assert "—" not in row
    lines = []
    view = type("View", (), {"say": lambda self, text: lines.append(text)})()
    Watcher(view)("plan", planned)
    assert re.search(r"endpoints: about 120 requests, about \$\S+, at most \$", " ".join(lines))
    folder = run(path).folder
    kept = Plan.model_validate_json((folder / "plan.json").read_text())
    assert kept.sent == planned.sent


def test_without_a_price_the_plan_says_so(tmp_path, server):
    path = study(tmp_path, server, ["majority", "zero_shot"], economics={}, budget={"minutes": 20})
    planned = plan(path, RunOptions(pay=True))
    assert planned.sent.usd is None
    assert "no price (economics.prices:" in " ".join(plan_screen(planned).plain.split())


def test_a_local_study_sends_nothing(tmp_path):
    planned = plan(studies.write(tmp_path, arms=studies.LIGHT))
    assert planned.sent is None
    assert planned.assumed == ""
