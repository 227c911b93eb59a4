"""What a plan says of money: where a cap ends the run, models without a price, a hosted tune."""

import json

import pytest
from tests import studies

import tuneworthy
from tuneworthy.flows.study import plan
from tuneworthy.measure.request_costs import remote_models
from tuneworthy.measure.timing import mean_sizes
from tuneworthy.models.remote import price_list
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import TaskError
from tuneworthy.records.plan import LEAST_DIAGNOSED_CASES, NO_DIAGNOSIS_CUT
from tuneworthy.records.tokens import text_tokens
from tuneworthy.report.plans import plan_screen
from tuneworthy.rows.taskfile import read_task

HOSTED = {"model": "openai:gpt-4o-mini", "present": None, "arms": ["zero_shot", "few_shot"]}


@pytest.fixture(autouse=True)
def a_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def planned(folder, **task):
    made = plan(studies.write(folder, **{**HOSTED, **task}))
    return made, " ".join(plan_screen(made, 80).plain.split())


def test_a_cap_below_what_is_expected_says_where_it_ends_the_run(tmp_path):
    made, _ = planned(tmp_path)
    first, second = (arm.sent.usd for arm in made.arms)
    for cap, at in ((first / 2, "zero_shot"), (first + second / 2, "few_shot")):
        made, told = planned(tmp_path, budget={"usd": cap})
        assert made.stops_at == at
        assert f"may end the run in `{at}`, before a verdict (exit code 6)" in told
    made, told = planned(tmp_path, budget={"usd": made.sent.usd * 1.01})
    assert made.stops_at == ""
    assert "covers what is expected and not the most" in told
    _, told = planned(tmp_path, budget={"usd": 1000})
    assert "Your cap of $1,000 is not reached by what is expected." in told


def test_a_cap_on_tokens_counts_and_no_cap_is_said(tmp_path):
    made, told = planned(tmp_path, budget={"tokens": 10})
    assert made.stops_at == "zero_shot"
    assert "Your cap of 10 tokens may end the run" in told
    _, told = planned(tmp_path)
    assert "No cap is set: before `run` sends anything it wants budget: {usd: N}, or --pay." in told
    _, told = planned(tmp_path, model="openai:unheard-of", budget={"usd": 1})
    assert "can't be kept without a price" in told


def test_a_server_of_ones_own_is_not_called_a_paid_model(tmp_path):
    path = studies.write(tmp_path, **{**HOSTED, "model": "openai:own@http://127.0.0.1:9/v1"})
    with pytest.raises(TaskError, match="an endpoint has no cap") as caught:
        tuneworthy.run(path)
    assert "a server of yours may be free" in caught.value.fix


def test_a_cap_that_is_changed_later_is_the_one_that_is_told(tmp_path):
    keys = {"arms": ["majority", "zero_shot"], "present": None, "budget": {"usd": 1}}
    path = studies.write(tmp_path, **keys)
    tuneworthy.run(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"budget": {"usd": 2}}), "utf-8")
    assert plan(path).cap_usd == 2


def test_the_rows_of_a_plan_add_up_to_what_endpoints_are_sent(tmp_path):
    """The total is each arm's row, and half of the diagnosis."""
    arms = ["zero_shot", "few_shot", "constrained", "optimised_prompt"]
    made, _ = planned(tmp_path, arms=arms)
    told = plan_screen(made, 120).plain
    share = {arm.spec.name: 1.0 for arm in made.arms}
    share["to see what was wrong"] = 0.5
    rows = [
        [share[name] * float(x.replace(",", "")) for x in line.split()[-5:]]
        for line in told.split("\n")
        for name in share
        if line.strip().startswith(f"{name} ")
    ]
    assert len(rows) == len(share) == 5
    said = " ".join(told.split())
    told_sums = [said.partition("sent about ")[2].split()[0], said.partition("requests with ")[2]]
    told_sums += [said.partition("aside): about $")[2]]
    for at, text in zip((0, 1, 3), told_sums, strict=True):
        total = sum(row[at] for row in rows)
        stated = float(text.split()[0].strip(",").replace(",", ""))
        assert stated == pytest.approx(total, rel=0.05, abs=0 if at == 3 else 2)
    assert "half of it is expected to run" in said


def test_a_model_without_a_price_says_what_may_be_meant(tmp_path):
    _, told = planned(tmp_path, model="openai:gpt-4o-minni")
    assert "`gpt-4o-minni` has no price: did you mean `gpt-4o-mini`?" in told
    assert price_list.closest_listed_name("gpt-4o-minni", "http://127.0.0.1:9/v1") == ""
    _, told = planned(tmp_path, model="openai:own@http://127.0.0.1:9/v1")
    assert "`own` has no price: write economics.prices: {own: {in: 0.4, out: 1.6}}" in told


def test_what_a_hosted_tune_would_read_is_said_with_its_price_or_how_to_give_it(tmp_path):
    _, told = planned(tmp_path)
    assert "for each pass over your 60 rows; its vendor sets how many (in 3: " in told
    assert "; no training price is shipped: give it as `train`" in told
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    about = 3 * sum(len(row["input"]) + len(row["output"]) for row in rows) / 4
    price = {"in": 0.15, "out": 0.6, "train": 1e4}
    _, told = planned(tmp_path, economics={"prices": {"gpt-4o-mini": price}})
    said = told.partition("(in 3: ")[2].partition("about $")[2]
    assert "in 3 passes at your price" in said
    assert float(said.split()[0]) == pytest.approx(about * 1e4 / 1e6, rel=0.3)
    local = plan(studies.write(tmp_path / "local", arms=["majority", "zero_shot"], present=None))
    assert local.prices == ()


def test_a_tune_reads_the_rows_as_they_stand_not_our_prompt(tmp_path):
    _, plain = planned(tmp_path)
    _, told = planned(tmp_path, instruction="Read the message and name its team. " * 20)
    reads = [said.partition("reads about ")[2].split()[0] for said in (plain, told)]
    assert reads[0] == reads[1]


def test_a_request_that_nobody_timed_leaves_no_cause_out(tmp_path):
    made, told = planned(tmp_path, budget={"minutes": 0.02})
    assert "(assumed)" in told
    assert made.read == LEAST_DIAGNOSED_CASES
    assert NO_DIAGNOSIS_CUT not in made.cuts


def test_one_arm_alone_is_planned_and_scored_and_a_reference_alone_is_refused(tmp_path):
    made, _ = planned(tmp_path, arms=["zero_shot"])
    assert [arm.spec.name for arm in made.arms] == ["zero_shot"]
    path = studies.write(tmp_path, arms=["zero_shot"], present=None)
    verdict = tuneworthy.run(path).verdict
    (arm,) = (arm for arm in verdict.arms if arm.name == "zero_shot")
    assert (verdict.status, verdict.left_on_table) == ("provisional", None)
    assert arm.score.low < arm.score.mean < arm.score.high
    assert plan(studies.write(tmp_path, arms=["zero_shot", "tfidf"], present=None)).looks == 1
    with pytest.raises(TaskError, match="a reference alone says nothing"):
        read_task(studies.write(tmp_path, arms=["majority"], present=None))


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("gpt-4o-mini", "openai:gpt-4o-mini"),
        ("Qwen/Qwen3-0.6B", "hf:Qwen/Qwen3-0.6B"),
        ("./weights", "hf:./weights"),
        ("smollm2-135", "smollm2-135m"),
    ],
)
def test_a_name_without_its_kind_says_what_may_be_meant(tmp_path, spec, meant):
    with pytest.raises(TaskError) as caught:
        read_task(studies.write(tmp_path, model=spec))
    assert f"did you mean `{meant}`?" in caught.value.fix
    with pytest.raises(TaskError) as caught:
        read_task(studies.write(tmp_path, model="claude: haiku"))
    assert "did you mean" not in caught.value.fix


def test_the_system_prompt_and_earlier_turns_of_rows_are_in_the_plan_once_a_request(tmp_path):
    turns = [
        {"role": "system", "content": "You name the team that answers a ticket of our shop."},
        {"role": "user", "content": "test"},
        {"role": "assistant", "content": "billing"},
    ]
    folder = tmp_path
    studies.write(folder)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    texts = []
    for row in rows:
        last = {"role": "user", "content": row["input"]}
        row["messages"] = [*turns, last, {"role": "assistant", "content": row["output"]}]
        texts += [*(turn["content"] for turn in row["messages"]), "Answer with exactly one of:"]
    path = studies.write(folder, **HOSTED, instruction="")
    chat = [{"messages": row["messages"]} for row in rows]
    studies.lines(folder / "rows.jsonl", chat)
    made = plan(path)
    said = " ".join(plan_screen(made, 80).plain.split())
    least = sum(map(text_tokens, texts))
    (zero,) = (arm.sent for arm in made.arms if arm.spec.name == "zero_shot")
    assert least <= zero.tokens <= 1.25 * least
    read = float(said.partition("vendor reads about ")[2].split()[0].replace(",", ""))
    own = sum(text_tokens(turn["content"]) for row in rows for turn in row["messages"])
    assert read == pytest.approx(own, rel=0.04)  # the rows as they stand, without our words


def test_what_an_arm_costs_in_use_is_told_with_the_date_of_its_price(tmp_path):
    """1,000 requests in use cost what the scored rows do: dev rows and reused answers aside."""
    arms = ["zero_shot", "few_shot", "tfidf"]
    made, told = planned(tmp_path, arms=arms, economics={"requests_per_month": 40_000})
    loads = {arm.spec.name: arm.sent for arm in made.arms}
    zero, few = loads["zero_shot"], loads["few_shot"]
    assert zero.usd_per_1k == pytest.approx(zero.usd / zero.requests * 1000, rel=0.01)
    assert few.usd_per_1k == pytest.approx(few.usd / few.requests * 1000, rel=0.01)
    assert "In use, at 40,000 requests a month:" in told
    screen = plan_screen(made, 80).plain.partition("In use")[2]
    cells = {line.split()[0]: line.split()[1:] for line in screen.split("\n") if line.strip()}
    assert float(cells["zero_shot"][1]) == pytest.approx(40 * zero.usd_per_1k, rel=0.05)
    assert cells["tfidf"] == ["—", "—"]
    assert "list price of gpt-4o-mini, read on 2026-05-27" in told
    assert "it answers on this machine" in told
    made, told = planned(tmp_path, model="openai:unheard-of", economics={"requests_per_month": 9})
    assert all(arm.sent.usd_per_1k is None for arm in made.arms if arm.sent)
    assert "no price of its model is known" in told
    assert "In use" not in planned(tmp_path)[1]


def test_a_draft_that_the_study_reuses_is_paid_for_in_use(tmp_path):
    arms = ["zero_shot", "constrained"]
    made, _ = planned(tmp_path, arms=arms, economics={"requests_per_month": 40_000})
    loads = {arm.spec.name: arm.sent for arm in made.arms}
    assert loads["constrained"].usd_per_1k > 1.4 * loads["zero_shot"].usd_per_1k


def test_the_worst_case_of_a_plan_is_that_of_its_longest_rows(tmp_path):
    """A plan that asks two of forty rows may ask the two longest."""
    task = read_task(studies.write(tmp_path, **HOSTED))
    cases = [
        Case(id=str(n), messages=(Message(role="user", content="x" * n),), output="yes")
        for n in range(40)
    ]
    sizes = mean_sizes(task, cases, 2, 0, None).model_copy(update={"cases": 2})
    remote = remote_models(task, cases, sizes, (), ())
    around = remote.most.own - (39 + 38) / 2
    assert 0 <= around < 32
    every = remote_models(task, cases, sizes.model_copy(update={"cases": 40}), (), ())
    assert every.most.own == pytest.approx(around + 39 / 2)
