"""constrained: draft first rewrites what is not valid and nothing else; its placebo is legal."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from arms_kit import SCHEMA, Scoring, json_cases, queries, setup
from tests import studies

from tuneworthy.arms import _prompted, constrained, nearest_shots
from tuneworthy.arms._prompted import prompting_arm
from tuneworthy.arms._under_grammar import REPEAT_REQUEST
from tuneworthy.metrics._validity import validity
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.arm import Recipe
from tuneworthy.records.errors import DoesNotApply

DRAFT, PLACEBO = constrained.Options(draft=True), constrained.placebo(constrained.Options())


def careless(prompt, limits):
    """Answer rightly in words, or in form where a grammar holds it: from its own draft, if any."""
    own = [m.content for m in prompt if m.role == "assistant"]
    if limits.grammar is None:
        return "it is kind refund"
    kind = own[-1].split()[-1] if own else "masked"
    return json.dumps({"kind": kind, "n": 1})


def answers(respond, folder, options, kind="json", **more):
    parts = setup(respond, folder, kind, **more)
    return constrained.fit(parts, options, 0).answer(queries(kind))


def test_an_invalid_draft_is_rewritten_with_the_draft_in_the_prompt(tmp_path):
    masked = answers(careless, tmp_path, constrained.Options())
    drafted = answers(careless, tmp_path, DRAFT)
    assert {json.loads(a.text)["kind"] for a in masked} == {"masked"}
    assert {json.loads(a.text)["kind"] for a in drafted} == {"refund"}
    assert [m.role for m in drafted[0].prompt[-3:]] == ["user", "assistant", "user"]
    assert drafted[0].prompt[-1].content == REPEAT_REQUEST
    assert [a.case for a in drafted] == [q.id for q in queries("json")]
    assert drafted[0].tokens_in > 2 * masked[0].tokens_in, "both requests are counted"


def test_a_valid_draft_stands_and_is_not_asked_again(tmp_path):
    asked = []

    def respond(prompt, limits):
        asked.append(limits.grammar)
        return '{"kind": "free", "n": 2}'

    found = answers(respond, tmp_path, DRAFT)
    assert {json.loads(a.text)["kind"] for a in found} == {"free"}
    assert asked == [None] * len(found)


@pytest.mark.parametrize("broken", ["", "failed"])
def test_a_draft_that_is_empty_or_failed_is_not_shown(tmp_path, broken):
    def respond(prompt, limits):
        if limits.grammar is None and broken:
            raise RuntimeError("down")
        return careless(prompt, limits) if limits.grammar else ""

    found = answers(respond, tmp_path, DRAFT)
    assert {json.loads(a.text)["kind"] for a in found} == {"masked"}
    assert {a.error for a in found} == {None}
    assert REPEAT_REQUEST not in {m.content for m in found[0].prompt}


def test_of_drafts_of_labels_only_those_that_are_none_are_scored(tmp_path):
    def even(prompt):
        return int(prompt[-1].content[-1]) % 2 == 0

    def respond(prompt, limits):
        return "Warranty" if even(prompt) else "it's about the refund, refund"

    found = answers(respond, tmp_path, DRAFT, "label", scoring=True)
    said = Counter((a.text, a.labels is not None) for a in found)
    assert set(said) == {("Warranty", False), ("refund", True)}, "labels are scored on the draft"
    free = [a for a in found if a.labels is None]
    assert all(even(a.prompt) for a in free)


def test_the_placebo_is_legal_and_has_nothing_to_do_with_the_input(tmp_path):
    def never(prompt, limits):
        raise AssertionError("the placebo asks no model")

    parts = setup(never, tmp_path, "json")
    valid = validity(parts.task)
    found = constrained.fit(parts, PLACEBO, 0).answer(queries("json"))
    assert all(valid(a) for a in found)
    assert len({a.text for a in found}) > 3
    assert {a.text for a in found} <= {c.output for c in json_cases()[:18]}
    again = constrained.fit(parts, PLACEBO, 0).answer(queries("json")[::-1])
    assert {a.case: a.text for a in again} == {a.case: a.text for a in found}
    other = constrained.fit(parts, PLACEBO, 1).answer(queries("json"))
    assert [a.text for a in other] != [a.text for a in found]
    labels = constrained.fit(setup(never, tmp_path), PLACEBO, 0).answer(queries())
    assert {a.text for a in labels} <= set(studies.LABELS)
    assert len({a.text for a in labels}) > 1


def test_the_placebo_says_whether_it_learnt(tmp_path):
    parts = setup(careless, tmp_path, "json")
    assert constrained.fit(parts, PLACEBO, 0).learned
    assert not constrained.fit(setup(careless, tmp_path), PLACEBO, 0).learned
    with pytest.raises(DoesNotApply, match="no training row"):
        constrained.fit(setup(careless, tmp_path, "json", train=[]), PLACEBO, 0)


def test_free_text_has_nothing_to_constrain(tmp_path):
    for options in (constrained.Options(), DRAFT, PLACEBO):
        with pytest.raises(DoesNotApply, match="free text"):
            constrained.fit(setup(careless, tmp_path, "text"), options, 0)


def test_the_mask_stands_on_the_recipe_and_its_grammar_is_the_schema(tmp_path):
    seen = []

    def respond(prompt, limits):
        seen.append((len(prompt), limits.grammar))
        return '{"kind": "a", "n": 1}'

    recipe = Recipe(kind="nearest", k=2)
    answers(respond, tmp_path, constrained.Options(), recipe=recipe)
    assert {length for length, _ in seen} == {6}  # system, two examples of two turns, the input
    assert all(grammar.value["properties"] == SCHEMA["properties"] for _, grammar in seen)


def test_a_grammar_that_the_training_answers_shaped_counts_as_learnt(tmp_path):
    turned = [
        c.model_copy(
            update={"output": json.dumps({"n": 1, "kind": c.output}, separators=(",", ":"))}
        )
        for c in json_cases()[:18]
    ]
    as_schema = [
        c.model_copy(update={"output": json.dumps({"kind": "a", "n": 1}, separators=(",", ":"))})
        for c in json_cases()[:18]
    ]
    for rows, learned in ((turned, True), (as_schema, False)):
        parts = setup(careless, tmp_path, "json", train=rows)
        assert constrained.fit(parts, constrained.Options(), 0).learned is learned


class Holding(Scripted):
    """A scripted model that can say what its grammar allows: here, objects with the letter n."""

    def holds(self, text, grammar):
        return text.startswith("{") and '"n"' in text


def test_a_free_answer_that_the_grammar_would_not_change_is_known(tmp_path):
    def given(respond=careless, kind="json", model=Holding, **changes):
        parts = setup(respond, tmp_path, kind)
        free = prompting_arm(parts, parts.recipe).answer(queries(kind))
        texts = ['{"n": 1}', '{"m": 1}', '{"n": 2}', '{"n": 3}', '{"n": 4}', '{"n": 5}']
        said = [
            answer.model_copy(update={"text": text, "finish": "stop", **more})
            for answer, text, more in zip(free, texts, [
                {}, {}, {"finish": "length"}, {"error": "down"}, {"prompt": ()}, {}], strict=False)
        ]  # fmt: skip
        parts = replace(parts, given=lambda _: said, models={"base": model("scripted:x", respond)})
        fitted = constrained.fit(parts, constrained.Options(**changes), 0)
        return fitted.known and [(a := fitted.known(q)) and a.text for q in queries(kind)]

    assert given() == ['{"n": 1}', None, None, None, None, '{"n": 5}', None, None]
    assert given(model=Scripted) is None, "a model that can't say what its grammar allows"
    assert given(draft=True) is None, "a draft that is valid stands anyway"
    assert given(kind="label") is None, "a model that scores no labels"


class Beside(Scoring):
    """A scripted model that scores labels in the reading that its answers take."""

    def reply_scored(self, prompts, limits, labels):
        rows = self.logprobs(prompts, [labels] * len(prompts))
        return self.reply(prompts, limits), [rows[0], None, *rows[2:]]


def test_labels_scored_beside_a_free_answer_are_not_scored_again(tmp_path, monkeypatch):
    parts = setup(lambda prompt, limits: "whatever", tmp_path, "label")
    parts = replace(parts, models={"base": Beside("scripted:x", lambda prompt, limits: "so")},
                    recipe=Recipe(kind="nearest", k=4))  # fmt: skip
    asked = queries("label")
    fit, options = nearest_shots.fit, nearest_shots.Options(k=4)
    free = fit(parts, options, 0).answer(asked)
    assert [a.labels is None for a in free] == [False, True, *[False] * 6]
    assert all(sum(a.labels.values()) == pytest.approx(1) for a in free if a.labels)
    assert fit(parts, options, 0).answer(asked[:1])[0].labels is None, "one may be timed"
    dev = [case.query() for case in parts.dev]
    mixed = fit(parts, options, 0).answer([asked[0], *dev, *asked[2:]])
    assert [a.case for a in mixed] == [q.id for q in (asked[0], *dev, *asked[2:])]
    assert [a.labels is None for a in mixed] == [False, True, *[False] * 9], "to choose a prompt"
    monkeypatch.setattr(_prompted, "MOST_CHOICE_ROWS", 1)
    mixed = fit(parts, options, 0).answer([asked[0], *dev, *asked[2:]])
    few = [False, True, *[True] * 3, *[False] * 6]
    assert [a.labels is None for a in mixed] == few, "other dev cases are asked by nobody again"
    for idle in (fit(parts, nearest_shots.placebo(options), 0), prompting_arm(parts, parts.recipe)):
        assert not any(a.labels for a in idle.answer(asked))
    fitted = constrained.fit(replace(parts, given=lambda recipe: free), constrained.Options(), 0)
    known, scored = [fitted.known(query) for query in asked], fitted.answer(asked)
    assert known[1] is None
    for one, two in zip(known, scored, strict=True):
        assert one is None or (one.text, one.prompt) == (two.text, two.prompt)
        assert one is None or one.labels == pytest.approx(two.labels)
