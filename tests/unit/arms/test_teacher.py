"""teacher: one prompt to the teacher's model, no passage, never a candidate."""

import pytest
from arms_kit import queries, setup, task

from tuneworthy.arms import teacher
from tuneworthy.arms._pairs import teacher_recipe
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.arm import Recipe, Sizes
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.specs import specs

BEST = Recipe(kind="nearest", k=2)


def no_base(prompt, limits):
    raise AssertionError("the base model is not asked")


def with_teacher(folder, **more):
    parts = setup(no_base, folder, recipe=BEST, **more)
    seen = []

    def say(prompt, limits):
        seen.append(prompt)
        return "refund"

    parts.models["teacher"] = Scripted("scripted:teacher", say)
    return parts, seen


def test_the_teacher_answers_without_the_passage_that_a_ceiling_may_see(tmp_path):
    parts, seen = with_teacher(tmp_path)
    asked = [query.model_copy(update={"gold_passage": "THE ANSWER"}) for query in queries()]
    fitted = teacher.fit(parts, teacher.Options(), 0)
    assert {a.text for a in fitted.answer(asked)} == {"refund"}
    assert fitted.longer(asked[:1])[0].text == "refund"
    assert not any("THE ANSWER" in turn.content for prompt in seen for turn in prompt)
    assert not fitted.learned
    assert fitted.model is parts.models["teacher"]


def test_it_gets_the_best_prompt_where_that_is_asked_or_it_teaches_itself(tmp_path):
    parts, _ = with_teacher(tmp_path)
    assert teacher.fit(parts, teacher.Options(teacher_prompt="best"), 0).learned
    for own in ({"teacher": "smollm2-135m"}, {"teacher": "hf:a/b", "tune": "hf:a/b"}):
        itself = setup(no_base, tmp_path, recipe=BEST, task=task(**own))
        assert teacher_recipe(itself, "auto") == BEST
        assert teacher_recipe(itself, "zero") == Recipe()
    other = setup(no_base, tmp_path, recipe=BEST, task=task(teacher="hf:large"))
    assert teacher_recipe(other, "auto") == Recipe()


def test_without_a_teacher_it_does_not_apply(tmp_path):
    with pytest.raises(DoesNotApply, match="teacher"):
        teacher.fit(setup(no_base, tmp_path), teacher.Options(), 0)


def test_auto_measures_the_teacher_only_where_the_task_names_one():
    named = [spec for spec in specs(task(teacher="hf:large")) if spec.arm == "teacher"]
    assert [(spec.role, spec.tool) for spec in named] == [("ceiling", None)]
    assert not any(spec.arm == "teacher" for spec in specs(task()))


def test_every_case_is_one_request_to_the_teacher():
    sizes = Sizes(cases=10, train=20, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=6)
    short, long = (
        teacher.estimate(sizes, teacher.Options(teacher_prompt=p)).asks[0] for p in ("zero", "best")
    )
    assert (short.role, short.requests, short.read) == ("teacher", 10, 70)
    assert long.read == 70 + 4 * 40
    work = teacher.estimate(sizes, teacher.Options(teacher_prompt="zero"))
    assert (work.read, work.taught_read) == (0, 50 + 200)  # the teacher reads, not the base
