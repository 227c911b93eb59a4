"""vote and draft first on the embedded model: samples differ and repeat, drafts end valid."""

import json
from dataclasses import replace

import pytest
from arms_kit import SCHEMA, json_cases, label_cases, task

from tuneworthy.arms import constrained, vote, zero_shot
from tuneworthy.metrics import scorer
from tuneworthy.metrics._validity import validity
from tuneworthy.models.local.wheel import locate
from tuneworthy.records.arm import Recipe, Setup

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(locate() is None, reason="tuneworthy models get smollm2-135m"),
]


@pytest.fixture(scope="module")
def model():
    from tuneworthy.models import open_model

    return open_model("smollm2-135m", folder=locate())


def parts(model, folder, kind, recipe):
    rows = json_cases() if kind == "json" else label_cases()
    job = task(kind)
    return Setup(task=job, train=rows[:18], dev=rows[18:22], models={"base": model},
                 score=scorer(job), folder=folder, recipe=recipe), rows[22:]  # fmt: skip


@pytest.mark.long
def test_samples_differ_from_each_other_and_repeat_with_their_seed(model, tmp_path):
    setup, rows = parts(model, tmp_path, "label", Recipe())
    asked = [case.query() for case in rows]
    one, two, other = (
        [a.samples for a in vote.fit(setup, vote.Options(m=4), seed).answer(asked)]
        for seed in (0, 0, 1)
    )
    assert one == two
    assert one != other
    assert any(len(set(samples)) > 1 for samples in one)


def test_drafts_that_are_valid_stand_and_the_others_end_valid(model, tmp_path):
    setup, rows = parts(model, tmp_path, "json", Recipe(kind="nearest", k=2))
    asked = [case.query() for case in rows]
    free = zero_shot.prompting_arm(setup, setup.recipe).answer(asked)
    drafted = constrained.fit(setup, constrained.Options(draft=True), 0).answer(asked)
    valid = validity(setup.task)
    assert all(valid(answer) for answer in drafted)
    for before, after in zip(free, drafted, strict=True):
        assert not valid(before) or after.text == before.text
        assert json.loads(after.text).keys() == SCHEMA["properties"].keys()


def test_a_free_answer_that_stands_is_what_decoding_under_the_grammar_writes(tmp_path, capfd):
    from tuneworthy.arms.prompt.grammar import grammar
    from tuneworthy.models.hf import load

    model = load(locate(), "smollm2-135m", "float32")
    setup, rows = parts(model, tmp_path, "json", Recipe(kind="nearest", k=2))
    asked = [case.query() for case in rows]
    free = zero_shot.prompting_arm(setup, setup.recipe).answer(asked)
    setup = replace(setup, given=lambda recipe: free)
    fitted = constrained.fit(setup, constrained.Options(), 0)
    held = fitted.answer(asked)
    stands = [fitted.known(query) for query in asked]
    assert sum(answer is not None for answer in stands) >= 4
    assert all(one.text == two.text for one, two in zip(stands, held, strict=True) if one)
    rule = grammar(setup.task, [case.output for case in setup.train])
    text = next(answer.text for answer in stands if answer)
    assert model.holds(text, rule)
    for other in (text[:-1], text + "\n", " " + text, text.replace('"n"', '"m"'), text + text):
        assert not model.holds(other, rule)
    assert "Parser Error" not in "".join(capfd.readouterr())
