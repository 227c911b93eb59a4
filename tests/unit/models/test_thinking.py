"""D3: a model that thinks first is scored by its answer, as its twin without a thought is."""

import json
import random

import pytest
from models_kit import ask
from thinking_kit import ASKED, HYBRID, LABELS, OPEN, PLAIN, THOUGHT, written

from tuneworthy.records.errors import ModelError
from tuneworthy.records.model import Grammar, Limits, limits_for, reasoning_tokens
from tuneworthy.records.task import Data, Task

pytestmark = pytest.mark.full
PROMPTS = ask("where is my parcel", "my invoice", "the login is x", "refund x y", system=None)
ROOMY = Limits(max_tokens=2, thought_tokens=40)
BY_LABEL = Grammar(kind="labels", value=list(LABELS))
BY_FORM = Grammar(kind="regex", value="(x|y|delivery|billing)")
LONG = len(THOUGHT) + 1  # tokens of a thought whose first tag the prompt writes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("thinking")
    return {
        "plain": written(root / "plain", PLAIN, ""),
        "open": written(root / "open", OPEN),
        "hybrid": written(root / "hybrid", HYBRID),
        "unsaid": written(root / "unsaid", PLAIN),  # it thinks, and its template does not say so
        "endless": written(root / "endless", OPEN, ends=False),
    }


@pytest.fixture(scope="module")
def opened(made):
    from tuneworthy.models.hf import load

    kept = {}

    def get(name, thinking="auto"):
        if (name, thinking) not in kept:
            kept[name, thinking] = load(made[name], f"hf:{name}", "float32", thinking=thinking)
        return kept[name, thinking]

    return get


def said(model, limits=ROOMY, prompts=PROMPTS):
    return [
        (r.text, r.finish, r.tokens_out, r.tokens_thought) for r in model.reply(prompts, limits)
    ]


@pytest.mark.parametrize(
    ("name", "thinking", "state", "thought"),
    [("plain", "auto", "maybe", 0), ("plain", "off", "maybe", 0), ("open", "auto", "open", LONG),
     ("open", "on", "open", LONG), ("hybrid", "auto", "off", 0), ("hybrid", "off", "off", 0),
     ("hybrid", "on", "free", LONG + 1), ("unsaid", "auto", "maybe", LONG + 1)],
)  # fmt: skip
def test_the_answer_is_that_of_the_twin_and_the_thought_is_counted(
    opened, name, thinking, state, thought
):
    model = opened(name, thinking)
    assert model.thinking.state == state
    assert said(model) == [(label, "stop", 2 + thought, thought) for label in LABELS]


def test_a_thought_without_an_end_is_an_empty_answer_that_was_cut(opened):
    assert said(opened("endless")) == [("", "length", 40, 40)] * 4


def test_the_cap_of_an_answer_counts_from_the_end_of_the_thought(opened):
    cut = ROOMY.model_copy(update={"max_tokens": 1})
    assert said(opened("open"), cut) == [(label, "length", 1 + LONG, LONG) for label in LABELS]


def test_without_tokens_of_its_own_a_thought_shares_those_of_the_answer(opened):
    assert said(opened("open"), Limits(max_tokens=2)) == [("", "length", 2, 2)] * 4
    assert [row[0] for row in said(opened("open"), Limits(max_tokens=2 + LONG))] == list(LABELS)


def test_a_thought_that_nobody_expected_gets_its_room(opened, monkeypatch):
    from tuneworthy.models.local import thinking as _thought

    monkeypatch.setattr(_thought, "_SHORT_THOUGHT", 2)
    model = opened("unsaid")
    assert [row[0] for row in said(model)] == list(LABELS)
    draws = model.draws(PROMPTS, ROOMY, 2)
    assert [[r.text for r in replies] for replies in draws] == [list(LABELS)] * 2
    few = Limits(max_tokens=2, thought_tokens=2)
    assert said(model, few) == [("", "length", 4, 4)] * 4 or said(model, few)[0][0] == ""


@pytest.mark.parametrize(("name", "thinking"), [("open", "auto"), ("hybrid", "on")])
def test_a_grammar_holds_what_comes_after_the_thought(opened, name, thinking):
    model = opened(name, thinking)
    by_label = said(model, ROOMY.model_copy(update={"grammar": BY_LABEL}))
    assert [row[:2] for row in by_label] == [(label, "stop") for label in LABELS]
    by_form = said(model, ROOMY.model_copy(update={"grammar": BY_FORM}))
    assert [row[0] for row in by_form[:2]] == ["delivery", "billing"]
    assert {row[0] for row in by_form} <= {"x", "y", "delivery", "billing"}
    assert all(row[3] == LONG for row in (*by_label, *by_form))
    endless = said(opened("plain"), ROOMY.model_copy(update={"grammar": BY_FORM}))
    assert [row[0] for row in endless] == [row[0] for row in by_form], "as the twin answers"


@pytest.mark.parametrize(
    ("name", "thinking"),
    [("plain", "auto"), ("open", "auto"), ("hybrid", "off"), ("hybrid", "on"), ("unsaid", "auto"),
     ("endless", "auto")],
)  # fmt: skip
def test_answers_that_are_followed_think_alike_and_show_no_thought(
    opened, name, thinking, monkeypatch
):
    from tuneworthy.models.local import thinking as _thought
    from tuneworthy.models.local.follower import Follower

    monkeypatch.setattr(_thought, "_SHORT_THOUGHT", 2)
    model, shown = opened(name, thinking), []

    def told(follower):
        shown.append(follower.text)
        return False

    for limits in (ROOMY, ROOMY.model_copy(update={"grammar": BY_FORM})):
        followers = [Follower(told, top=1, watched=True) for _ in PROMPTS]
        replies = model.reply_followed(PROMPTS, limits, followers)
        assert not any("now" in text or "<think>" in text for text in shown), "no thought"
        found = [(r.text, r.finish, r.tokens_out, r.tokens_thought) for r in replies]
        assert found == said(model, limits)
        for reply, follower in zip(replies, followers, strict=True):
            made = len(follower.tops) + len(follower.end)
            assert made == reply.tokens_out - (reply.tokens_thought or 0)


def test_labels_are_not_scored_before_a_thought(opened):
    from tuneworthy.arms._under_grammar import answer_under_grammar
    from tuneworthy.records.case import Query

    model = opened("open")
    assert model.reply_scored(PROMPTS, ROOMY, LABELS)[1] == [None] * 4
    queries = [Query(id=str(at), messages=tuple(prompt)) for at, prompt in enumerate(PROMPTS)]
    answers = answer_under_grammar(model, BY_LABEL, ROOMY)(queries, PROMPTS)
    assert [(a.text, a.tokens_thought) for a in answers] == [(label, LONG) for label in LABELS]


def test_given_answers_are_scored_as_answers_and_not_as_thoughts(opened):
    rows = opened("open").logprobs(PROMPTS, [list(LABELS)] * 4)
    assert [row.index(max(row)) for row in rows] == [0, 1, 2, 3]


def test_off_is_refused_where_a_model_always_thinks(made):
    from tuneworthy.models.hf import load

    with pytest.raises(ModelError, match="always thinks"):
        load(made["open"], "hf:open", "float32", thinking="off")


def test_a_request_may_not_contradict_what_was_settled(opened):
    with pytest.raises(ModelError, match="when it was opened"):
        said(opened("open"), ROOMY.model_copy(update={"thinking": "off"}))
    with pytest.raises(ModelError, match="when it was opened"):
        said(opened("hybrid"), ROOMY.model_copy(update={"thinking": "on"}))


def test_how_a_model_thinks_is_part_of_its_fingerprint(opened):
    marks = [opened("hybrid", how).fingerprint for how in ("auto", "off", "on")]
    assert marks[0] == marks[1], "auto switches off what can be switched off"
    assert marks[0]["template"] != marks[2]["template"]
    assert (marks[0]["thinking"], marks[2]["thinking"]) == ("off", "free")


def test_a_task_gives_its_settings_to_every_model(opened):
    task = Task(data=Data(file="x.jsonl"), thinking="on", thinking_tokens=77)
    limits = limits_for(task, 5, seed=3)
    assert (limits.max_tokens, limits.seed) == (5, 3)
    assert (limits.thinking, limits.thought_tokens) == ("on", 77)
    assert reasoning_tokens(task, opened("open")) == 77
    assert reasoning_tokens(task, opened("hybrid")) == 0


def study(folder, model):
    """Return the verdict of a study on 80 rows, a tenth of which the model gets wrong."""
    from tuneworthy.flows.study import run
    from tuneworthy.records.run import RunOptions

    folder.mkdir()
    draw = random.Random(0)
    rows = [
        {"id": f"r{at}", "input": f"{' '.join(draw.choices('abcdefgh', k=9))} my {ASKED[at % 4]}",
         "output": LABELS[(at + (at % 10 == 3)) % 4]}
        for at in range(80)
    ]  # fmt: skip
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"name": "twin", "instruction": "the x is my y", "data": {"file": "rows.jsonl"},
            "output": {"type": "label", "labels": list(LABELS)}, "model": f"hf:{model}",
            "thinking_tokens": 40, "arms": ["zero_shot", "constrained", "majority"],
            "success": {"metric": "exact", "margin": 0.1}}  # fmt: skip
    (folder / "task.yaml").write_text(json.dumps(task))
    found = run(folder / "task.yaml", RunOptions(brief=True))
    return found.verdict, {arm.name: arm for arm in found.results.evidence.arms}


def test_a_thinking_model_ends_in_the_verdict_of_its_twin(made, tmp_path, monkeypatch):
    from tuneworthy.models import hf

    monkeypatch.setattr(hf, "resolve_placement", lambda place, precision: ("cpu", "float32"))
    plain, arms = study(tmp_path / "one", made["plain"])
    assert plain.arm == "zero_shot", plain
    for name in ("open", "hybrid", "unsaid"):
        other, others = study(tmp_path / name, made[name])
        assert (other.status, other.arm) == (plain.status, plain.arm)
        assert {name: arm.score for name, arm in others.items()} == {
            name: arm.score for name, arm in arms.items()
        }
    assert arms["zero_shot"].score.mean == pytest.approx(0.9)
