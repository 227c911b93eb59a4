"""The arms of a task: errors of `arms:` name the place and the fault."""

import pytest

from tuneworthy.records.errors import TaskError
from tuneworthy.records.specs import (
    builds_on_prompt,
    diagnosis_runs,
    failure_only_arms,
    learns_from_teacher,
    needs_of,
    needs_of_arm,
    specs,
    trainer_command,
    trains,
    unmet_needs,
    uses_vectors,
    variant_of,
)
from tuneworthy.records.task import Data, Output, Present, Success, Task


def task(arms):
    return Task(data=Data(file="rows.jsonl"), arms=arms)


def test_an_empty_list_of_arms_is_refused():
    with pytest.raises(TaskError, match="empty list"):
        specs(task([]))


def test_an_option_that_an_arm_does_not_have_is_named():
    with pytest.raises(TaskError, match="options of arm `few_shot`") as caught:
        specs(task([{"few_shot": {"k": "many"}}]))
    assert "few_shot.k" in caught.value.where
    with pytest.raises(TaskError, match="arm `few_shot` has no such option") as caught:
        specs(task([{"few_shot": {"kk": 4}}]))
    assert "did you mean `k`?" in caught.value.fix


def test_two_arms_of_one_name_are_refused():
    with pytest.raises(TaskError, match="two arms have one name"):
        specs(task(["few_shot", "few_shot"]))


def test_the_present_system_has_the_tool_that_the_task_names():
    given = Task(data=Data(file="rows.jsonl"), arms=["present"],
                 present={"answers": "logged.jsonl", "tool": "tune"})  # fmt: skip
    assert specs(given)[0].tool == "tune"


RECORDED = {"old": {"file": "old.jsonl", "tool": "prompt"}, "new": {"file": "new.jsonl"}}


def names(job):
    return [spec.name for spec in specs(job)]


def spec_of(arm, **more):
    given = Task(data=Data(file="rows.jsonl"), arms=[arm], **more)
    name = arm if isinstance(arm, str) else next(iter(arm))
    return next(spec for spec in specs(given) if spec.arm == name)


def test_auto_takes_variants_and_recorded_systems_and_leaves_dear_arms_to_the_failures():
    job = Task(data=Data(file="rows.jsonl"), arms="auto", answers=RECORDED)
    found = {spec.name: spec for spec in specs(job)}
    assert {"nearest_shots", "nearest_shots(k=4)", "nearest_shots(k=16)", "old"} <= set(found)
    assert not {"vote", "full", "distil"} & set(found), "dear, by name only, without a teacher"
    assert found["old"].tool == "prompt"
    assert [variant_of(job, found[f"nearest_shots{k}"]) for k in ("", "(k=4)", "(k=16)")] == [
        -1, 0, 1,
    ]  # fmt: skip
    assert [spec.name for spec in failure_only_arms(job)] == ["vote"]
    assert failure_only_arms(task(["vote"])) == []


def test_recorded_systems_are_named_one_by_one_or_all_at_once():
    def given(*arms):
        return Task(data=Data(file="rows.jsonl"), arms=list(arms), answers=RECORDED)

    assert names(given("old")) == ["old"]
    assert sorted(names(given("answers"))) == ["new", "old"]
    assert sorted(names(given("tfidf"))) == ["new", "old", "tfidf"], "none is left out unasked"
    today = Present(answers="today.jsonl")
    assert sorted(names(given("tfidf", "old").model_copy(update={"present": today}))) == [
        "old", "present", "tfidf",
    ]  # fmt: skip
    with pytest.raises(TaskError, match="two arms have one name") as caught:
        specs(given("old", "answers"))
    assert caught.value.where == "task.yaml answers.old"


def test_a_student_brings_the_arms_it_is_shown_beside():
    student = {"distil": {"student": "classifier"}}
    job = Task(data=Data(file="rows.jsonl"), arms=[student], teacher="scripted:x")
    assert set(names(job)) == {"distil(student=classifier)", "teacher", "tfidf"}
    listed = Task(data=Data(file="rows.jsonl"), arms=["tfidf", "teacher", student], teacher="s:x")
    assert sorted(names(listed)) == sorted(names(job)), "what is listed comes once"
    distilled = spec_of(student, teacher="scripted:x")
    own = spec_of({"distil": {"learns": "own"}}, teacher="scripted:x")
    assert (distilled.tool, own.tool) == ("distil", "tune")
    assert (needs_of_arm(distilled), trains(distilled)) == ({"teacher"}, False)
    assert (needs_of_arm(own), trains(own)) == ({"training"}, True)
    assert learns_from_teacher(distilled)
    assert not learns_from_teacher(own)
    assert builds_on_prompt(distilled)
    assert not builds_on_prompt(spec_of("tfidf"))


def test_a_diagnosis_runs_a_pilot_only_where_it_is_much_cheaper():
    lora = spec_of("lora")
    assert [spec.name for spec in diagnosis_runs(lora, 100_000)] == [
        "lora pilot", "lora pilot placebo",
    ]  # fmt: skip
    (placebo,) = diagnosis_runs(lora, 4)
    assert (placebo.name, placebo.role, placebo.of) == ("lora placebo", "placebo", "lora")
    assert diagnosis_runs(spec_of("vote"), 100) == [], "it has no placebo"
    assert diagnosis_runs(spec_of("tfidf"), 100) == [], "it repairs nothing"


def test_a_trainers_command_stands_in_the_name_without_folders_and_placeholders():
    (spec,) = specs(task([{"lora": {"trainer": {"command": "python tools/trl.py {options}"}}}]))
    assert spec.name == "lora(trainer=python trl.py)"
    assert trainer_command(spec.options) == "python tools/trl.py {options}"
    assert trainer_command({}) == ""


def test_arms_that_compute_sentence_vectors_are_known_by_need_or_option():
    arms = ["tfidf", "embedding_head", "rag", {"rag": {"dense": False}}, "rag_lora", "oracle"]
    using = {spec.name for spec in specs(task(arms)) if uses_vectors(spec)}
    assert using == {"embedding_head", "rag", "rag_lora"}


@pytest.mark.parametrize(
    ("keys", "spec"),
    [({"decision": "d@https://h/v1"}, "decision:d@https://h/v1"),
     ({"model": "decision:https://h/v1"}, "decision:https://h/v1"), ({}, None)],
)  # fmt: skip
def test_a_decision_model_is_named_by_its_own_key_or_as_the_model(keys, spec):
    task = Task(data=Data(file="rows.jsonl"), **keys)
    assert task.decider == spec
    reason = needs_of(task, gold=False)["decision"]
    assert (reason is None) is (spec is not None)
    assert spec or "decision" in str(reason)
    plain = Task(data=Data(file="rows.jsonl"))
    assert (plain.hash == task.hash) is (not keys), "an older task keeps its hash"


def test_where_no_row_has_a_right_answer_an_arm_that_reads_one_is_not_met():
    success, output = {"metric": "valid"}, {"type": "json"}
    lacking = task("auto").model_copy(update={"success": Success(**success),
                                              "output": Output(**output)})  # fmt: skip
    met = needs_of(lacking, gold=False)
    open_ = {spec.arm for spec in specs(lacking) if not unmet_needs(spec, {"gold": met["gold"]})}
    assert open_ == {"present", "zero_shot", "constrained", "bigger"}
    (reason,) = {str(r) for s in specs(lacking) for r in unmet_needs(s, {"gold": met["gold"]})}
    assert reason == "needs rows with a right answer (`output`)"
    assert needs_of(task("auto"), gold=False)["gold"] is None
