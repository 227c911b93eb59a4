"""decision: examples stand in the state, and the set that is best on dev rows is shown."""

import json

import pytest
from arms_kit import label_cases, queries, setup

from tuneworthy.arms import decision
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import DoesNotApply


def decider(parts, respond):
    parts.models["decision"] = Scripted("scripted:decider", respond)
    return parts


def nobody(prompt, limits):
    raise AssertionError("the base model is not asked")


def test_without_examples_the_input_is_the_state(tmp_path):
    asked = []

    def respond(prompt, limits):
        asked.append((prompt[-1].content, limits.grammar.kind, list(limits.grammar.value)))
        return limits.grammar.value[0]

    parts = decider(setup(nobody, tmp_path), respond)
    fitted = decision.fit(parts, decision.Options(), 0)
    answers = fitted.answer(queries())
    labels = list(parts.task.output.labels)
    assert asked == [(query.input, "labels", labels) for query in queries()]
    assert {a.text for a in answers} == {labels[0]}
    assert (fitted.learned, fitted.recipe, fitted.pack) == (False, None, None)
    assert len(fitted.again(queries()[:1], 1)) == 1


def test_examples_with_their_answers_stand_beside_the_input(tmp_path):
    parts = decider(setup(nobody, tmp_path), lambda prompt, limits: limits.grammar.value[0])
    fitted = decision.fit(parts, decision.Options(examples=3, draws=1), 0)
    query = queries()[0]
    sent = fitted.answer([query])[0].prompt
    state = json.loads(sent[-1].content)
    gold = {case.input: case.output for case in parts.train}
    assert len(state["examples"]) == 3
    assert all(gold[row["input"]] == row["answer"] for row in state["examples"])
    assert state["input"] == query.input
    assert sent[0].content.startswith(parts.task.instruction)
    assert fitted.learned
    talk = Query(
        id="t", messages=[Message(role=r, content=r) for r in ("user", "assistant", "user")]
    )
    turns = json.loads(fitted.answer([talk])[0].prompt[-1].content)["input"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]


def test_the_examples_best_on_dev_are_the_ones_shown(tmp_path):
    """A model that repeats its last example: only the set that ends right scores."""

    def respond(prompt, limits):
        return json.loads(prompt[-1].content)["examples"][-1]["answer"]

    parts = decider(setup(nobody, tmp_path), respond)
    label = parts.train[0].output
    dev = [case.model_copy(update={"output": label}) for case in label_cases()[18:30]]
    more = {"dev": dev, "models": parts.models}
    chosen = decision.fit(
        setup(nobody, tmp_path, **more), decision.Options(examples=2, draws=24), 1
    )
    assert chosen.answer(queries()[:1])[0].text == label
    assert chosen.known(dev[0].query()).text == label, "its answers on dev are not asked again"


def test_it_needs_the_model_and_enough_rows(tmp_path):
    with pytest.raises(DoesNotApply, match="no decision model"):
        decision.fit(setup(nobody, tmp_path), decision.Options(), 0)
    parts = decider(setup(nobody, tmp_path), nobody)
    with pytest.raises(DoesNotApply, match="fewer than 256 examples"):
        decision.fit(parts, decision.Options(examples=256), 0)
