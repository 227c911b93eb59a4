"""An arm chooses its prompt on dev rows in its own setting; near ties keep the simpler one."""

from dataclasses import replace

import pytest
from arms_kit import Scoring, json_cases, label_cases, queries, setup, task

from tuneworthy.arms import _choice, bigger, constrained, oracle, rag, vote
from tuneworthy.metrics import scorer
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Recipe, Sizes
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.rows.docs import Doc

ZERO, FEW, NEAREST = Recipe(), Recipe(kind="few", k=2), Recipe(kind="nearest", k=2)
BOTH = (ZERO, NEAREST)


@pytest.fixture(autouse=True)
def forty_rows(monkeypatch):
    """Choose on 40 dev rows, whatever is shipped: shares of 40 are easy to read."""
    monkeypatch.setattr(_choice, "MOST_CHOICE_ROWS", 40)


def silent(prompt, limits):
    raise AssertionError("no model is asked")


def choose(folder, rights, dev=40, recipe=NEAREST, prompts=(ZERO, FEW, NEAREST), **how):
    """Choose among prompts that are right on the dev rows whose place `rights` names by kind."""
    rows = [c.model_copy(update={"id": f"d{at:03}"}) for at, c in enumerate(label_cases(dev))]
    asked = []

    def ask(recipe, some):
        asked.append((recipe.kind, [query.id for query in some]))
        texts = {row.id: row.output for row in rows}
        return [Answer(case=query.id, finish="stop",
                       text=texts[query.id] if rights[recipe.kind](int(query.id[1:])) else "none")
                for query in some]  # fmt: skip

    parts = setup(silent, folder, dev=rows[::-1], recipe=recipe, prompts=prompts)
    return _choice.choose_prompt(parts, ask, **how), asked


def below(n):
    """Right on n of 40 rows, spread evenly; on fewer rows where n is smaller."""
    return lambda at: at * 7 % 40 < n


def test_a_prompt_that_is_shown_to_be_better_replaces_a_simpler_one(tmp_path):
    rights = {"zero": below(8), "few": below(20), "nearest": below(30)}
    (recipe, notes), asked = choose(tmp_path, rights)
    assert recipe == NEAREST
    assert notes == (
        "stands on nearest_shots with 2 examples: few_shot was better than zero_shot on 40 dev "
        "rows (.50, .20), nearest_shots with 2 examples was better than few_shot on 40 dev rows "
        "(.75, .50)",
    )
    assert [kind for kind, _ in asked] == ["zero", "few", "few", "nearest", "nearest"]


def test_a_near_tie_goes_to_the_simpler_prompt(tmp_path):
    """One row of 40 more (.025) is above .02 and within one standard error."""
    one_more = {
        "zero": below(12),
        "few": lambda at: below(12)(at) or at == 19,
        "nearest": below(12),
    }
    (recipe, (note,)), asked = choose(tmp_path, one_more)
    assert recipe == ZERO
    assert note == (
        "stands on zero_shot: few_shot was no better than zero_shot on 40 dev rows (.33, .30), "
        "nearest_shots with 2 examples was no better than zero_shot on 20 dev rows (.35, .35)"
    )
    assert [len(ids) for _, ids in asked] == [40, 20, 20, 20]


@pytest.mark.parametrize(
    ("gains", "better"),
    [
        ([0.019] * 40, False),  # exact, but too little to matter
        ([0.021] * 40, True),
        ([1.0] * 2 + [0.0] * 38, True),  # .05, standard error .035
        ([1.0] * 4 + [-1.0] * 2 + [0.0] * 34, False),  # .05, standard error .061
        ([1.0] + [0.0] * 39, False),  # one row more is one standard error, of any number of rows
    ],
)
def test_better_is_more_than_two_points_and_one_standard_error(gains, better):
    assert _choice.is_significant_gain(gains) is better


def test_dev_rows_are_the_first_40_by_id_and_the_same_for_all(tmp_path):
    rights = {"zero": below(0), "few": below(99), "nearest": below(99)}
    _, asked = choose(tmp_path, rights, dev=50)
    ids = [f"d{at:03}" for at in range(40)]
    assert asked[0] == ("zero", ids)
    assert asked[1][1] + asked[2][1] == ids


@pytest.mark.parametrize(
    ("dev", "prompts", "best", "note"),
    [
        (9, BOTH, ZERO, "stands on zero_shot: 9 dev rows are too few to choose a prompt on"),
        (9, (FEW, NEAREST), NEAREST,
         "stands on nearest_shots with 2 examples: 9 dev rows are too few to choose a prompt on"),
        (40, (ZERO,), ZERO, None),
        (40, (FEW,), NEAREST, None),
        (40, (), NEAREST, None),
    ],
)  # fmt: skip
def test_without_a_choice_it_is_the_plain_instruction_else_the_best_so_far(
    tmp_path, dev, prompts, best, note
):
    (recipe, notes), asked = choose(tmp_path, {}, dev=dev, prompts=prompts)
    assert (recipe, notes) == (best, (note,) if note else ())
    assert asked == []


def test_ten_rows_are_not_halved_and_a_limit_on_prompts_holds(tmp_path):
    rights = {"zero": below(1), "few": below(40), "nearest": below(40)}
    (recipe, _), asked = choose(tmp_path, rights, dev=10, most=2)
    assert recipe == FEW
    assert [(kind, len(ids)) for kind, ids in asked] == [("zero", 10), ("few", 10)]


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (ZERO, "zero_shot"),
        (Recipe(kind="short"), "the instruction"),
        (Recipe(kind="file", text="x"), "your own prompt"),
        (Recipe(specification="Say it"), "a rewritten prompt"),
        (Recipe(kind="nearest", k=4, reminder="!"), "a rewritten prompt"),
    ],
)
def test_what_a_prompt_is_called(recipe, name):
    assert _choice.prompt_name(recipe) == name


def wants_examples(wanted):
    """A model that is right only with (or only without) examples; what it was asked is kept."""
    asked = []

    def respond(prompt, limits):
        asked.append((prompt, limits))
        shots = any(message.role == "assistant" for message in prompt)
        return "refund" if shots is wanted(prompt) else "none"

    return asked, respond


def refunds(n=16):
    return [c.model_copy(update={"output": "refund", "context": f"{c.id} asks for a refund"})
            for c in label_cases(40)[20 : 20 + n]]  # fmt: skip


def with_passage(prompt):
    """Examples help, but not where a passage is shown."""
    return not prompt[-1].content.startswith("Passage")


@pytest.mark.parametrize("alone", [False, True])
def test_retrieval_and_its_ceiling_choose_the_prompt_with_passages(tmp_path, alone):
    _, respond = wants_examples(with_passage)
    docs = tuple(Doc(id=f"p{n}", text=f"order number {n} refund parcel") for n in range(30))
    parts = setup(respond, tmp_path, docs=docs, dev=refunds(), prompts=BOTH, recipe=NEAREST)
    if alone:  # the control: the placebo is handed no prompts and keeps what its arm stands on
        parts = replace(parts, prompts=())
    for arm, options in ((rag, rag.Options(dense=False)), (oracle, oracle.Options())):
        fitted = arm.fit(parts, options, 0)
        assert fitted.recipe == (NEAREST if alone else ZERO)
        assert fitted.learned is alone
        assert any(note.startswith("stands on zero_shot") for note in fitted.notes) is not alone
        (answer,) = fitted.answer([refunds()[0].query(gold_passage=True)])
        assert answer.text == ("none" if alone else "refund")


def test_a_grammar_chooses_the_prompt_under_it(tmp_path):
    """Examples mislead under the grammar alone; drafts are made with the prompt, too."""
    job = task("json")
    rows = json_cases(40)
    fits = {case.input: case.output for case in rows}

    def respond(prompt, limits):
        shots = any(message.role == "assistant" for message in prompt)
        wrong = shots is (limits.grammar is not None)
        return '{"kind": "x", "n": 0}' if wrong else fits[prompt[-1].content]

    parts = setup(respond, tmp_path, "json", train=rows[:18], dev=rows[18:34], recipe=NEAREST,
                  prompts=BOTH, score=scorer(job))  # fmt: skip
    held = constrained.fit(parts, constrained.Options(), 0)
    assert held.recipe == ZERO
    drafted = constrained.fit(parts, constrained.Options(draft=True), 0)
    assert drafted.recipe == NEAREST
    placebo = constrained.fit(parts, constrained.placebo(constrained.Options()), 0)
    assert (placebo.recipe, placebo.notes) == (None, ())


def test_the_answers_that_the_grammar_would_not_change_stand_in_the_choice(tmp_path):
    from tuneworthy.arms._prompted import prompting_arm
    from tuneworthy.models._reply_cache import ReplyCache

    class Holding(Scripted):
        def holds(self, text, grammar):
            return text.startswith("{")

    rows, asked = json_cases(40), []
    fits = {case.input: case.output for case in rows}

    def respond(prompt, limits):
        asked.append(limits.grammar)
        odd = limits.grammar is None and prompt[-1].content == rows[20].input
        return "no JSON" if odd else fits[prompt[-1].content]

    model = Holding("scripted:x", respond).cached(ReplyCache())
    parts = setup(respond, tmp_path, "json", train=rows[:18], dev=rows[18:34], prompts=BOTH,
                  models={"base": model})  # fmt: skip
    dev = [case.query() for case in parts.dev]
    for recipe in BOTH:
        prompting_arm(parts, recipe).answer(dev)
    before = len(asked)
    constrained.fit(parts, constrained.Options(), 0)
    assert len(asked) == before + 2, "one row a prompt breaks the grammar"
    assert all(asked[before:])


def test_the_larger_model_chooses_its_own_prompt(tmp_path):
    _, respond = wants_examples(lambda prompt: False)
    parts = setup(silent, tmp_path, dev=refunds(), prompts=BOTH, recipe=NEAREST)
    parts.models["bigger"] = Scripted("scripted:large", respond)
    fitted = bigger.fit(parts, bigger.Options(), 0)
    assert fitted.recipe == ZERO
    assert fitted.notes[0].startswith("stands on zero_shot: nearest_shots")
    assert {a.text for a in fitted.answer(queries())} == {"refund"}


def test_of_a_paid_model_two_prompts_are_tried(tmp_path):
    asked, respond = wants_examples(lambda prompt: True)
    paid = Scripted("openai:large", respond)
    parts = setup(silent, tmp_path, dev=refunds(), prompts=(ZERO, FEW, NEAREST))
    parts.models["bigger"] = paid
    fitted = bigger.fit(parts, bigger.Options(), 0)
    assert fitted.recipe == FEW
    assert len(asked) == 2 * 16


def test_votes_choose_by_one_greedy_answer(tmp_path):
    asked, respond = wants_examples(lambda prompt: True)
    parts = setup(respond, tmp_path, dev=refunds(), prompts=BOTH)
    fitted = vote.fit(parts, vote.Options(m=3), 0)
    assert fitted.recipe == NEAREST
    assert {limits.temperature for _, limits in asked} == {0.0}
    assert len(asked) == 2 * 16
    assert {len(answer.samples) for answer in fitted.answer(queries())} == {3}


def test_labels_are_scored_to_choose(tmp_path):
    """A model that scores each label by how often its prompt names it: examples name them more."""
    rows = [c.model_copy(update={"output": "warranty"}) for c in refunds()]
    parts = setup(silent, tmp_path, scoring=True, dev=rows, prompts=BOTH)
    shots = [c.model_copy(update={"output": "warranty"}) for c in parts.train]
    fitted = constrained.fit(replace(parts, train=shots), constrained.Options(), 0)
    assert isinstance(fitted.model, Scoring)
    assert fitted.recipe == NEAREST


SIZES = Sizes(cases=100, train=60, dev=50, shared=20, own=10, shot=30, answer=5, cap=8, labels=0,
              passage=40, folds=5, prompts=3)  # fmt: skip


@pytest.mark.parametrize(
    ("arm", "role", "most"),
    [(rag, "base", 3), (oracle, "base", 3), (constrained, "base", 3), (vote, "base", 3),
     (bigger, "bigger", 2)],
)  # fmt: skip
def test_the_plan_counts_the_requests_of_the_choice(arm, role, most):
    options = arm.Options()
    tried = arm.estimate(SIZES, options).asks[-1]
    assert (tried.role, tried.few) == (role, True)
    assert tried.most == 5 * 40 * most
    usual = 0 if arm is vote else 0.75 * (most - 1) * 5 * 40
    assert tried.requests == usual, "the simplest prompt's answers are those of another fold"
    one_split = arm.estimate(SIZES.model_copy(update={"folds": 1}), options).asks[-1]
    assert one_split.requests == (0 if arm is vote else usual / 5 + 40), "no other fold asks them"
    for none in ({"prompts": 0}, {"prompts": 1}, {"dev": 9}):
        sizes = SIZES.model_copy(update=none)
        assert arm.estimate(sizes, options).asks[-1].most == 0
        assert arm.estimate(sizes, options).read <= arm.estimate(SIZES, options).read
    plain = SIZES.model_copy(update={"prompts": 0})
    more = arm.estimate(SIZES, options).read - arm.estimate(plain, options).read
    assert (more > 0) is (arm is not vote), "greedy answers to dev rows are those of the prompts"


def test_a_row_without_a_score_counts_as_wrong(tmp_path):
    number = Task(data=Data(file="r"), output=Output(type="number", max_tokens=8),
                  success={"metric": "number"})  # fmt: skip
    rows = [c.model_copy(update={"output": "1"}) for c in refunds(12)]
    parts = setup(silent, tmp_path, "number", dev=rows, prompts=BOTH, score=scorer(number))

    def ask(recipe, some):
        text = "1" if recipe == NEAREST else ""
        return [Answer(case=q.id, text=text, error=None if text else "down") for q in some]

    assert _choice.choose_prompt(parts, ask).recipe == NEAREST
