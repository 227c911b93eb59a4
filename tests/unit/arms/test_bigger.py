"""bigger: the larger model answers the same prompt."""

import pytest
from arms_kit import queries, setup

from tuneworthy.arms import bigger
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.arm import Recipe
from tuneworthy.records.errors import DoesNotApply


def test_the_larger_model_gets_the_prompt_that_the_base_had_best(tmp_path):
    def base(prompt, limits):
        raise AssertionError("the base model is not asked")

    large = Scripted("scripted:large", lambda prompt, limits: "refund")
    parts = setup(base, tmp_path, recipe=Recipe(kind="nearest", k=2))
    parts.models["bigger"] = large
    fitted = bigger.fit(parts, bigger.Options(), 0)
    answers = fitted.answer(queries())
    assert {a.text for a in answers} == {"refund"}
    assert {len(a.prompt) for a in answers} == {6}
    assert fitted.model is large
    assert fitted.learned


def test_without_a_larger_model_it_does_not_apply(tmp_path):
    with pytest.raises(DoesNotApply, match="bigger"):
        bigger.fit(setup(lambda prompt, limits: "x", tmp_path), bigger.Options(), 0)
