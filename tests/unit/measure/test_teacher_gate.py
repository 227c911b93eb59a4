"""The teacher gate: a student is trained only where its teacher is shown to know more."""

import pytest
from test_step_choice import FOLDS, IDS, SPLIT, N, did, followed, ran, spec, why

from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.measure.teacher_gate import why_not_taught
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.reason import Reason
from tuneworthy.records.run import Run
from tuneworthy.records.task import Task

BASE = {"tfidf": 0.5, "zero_shot": 0.2, "lora": 0.5}
LARGE = {"teacher": "hf:large"}


def shape_of(**more):
    task = Task(data={"file": "rows.jsonl"}, **LARGE)
    return ComparisonInputs(task=task, study="s", split=SPLIT, **more)


def runs_of(name, right, model="", ids=IDS):
    marks = {"weights": model} if model else {}
    return [
        Run(spec=spec(name), seed=0, fold=fold, state="measured", fingerprint=marks,
            answers=tuple(Answer(case=i, text="") for i in IDS[fold::FOLDS] if i in ids),
            scores=tuple(Score(value=float(IDS.index(i) < right * N))
                         for i in IDS[fold::FOLDS] if i in ids))
        for fold in range(FOLDS)
    ]  # fmt: skip


def test_a_teacher_that_knows_more_is_learnt_from_after_it_was_measured():
    found = followed({**BASE, "teacher": 0.9, "distil": 0.8}, **LARGE)
    assert found.events.index("teacher") < found.events.index("distil")
    assert "distil" in ran(found)


@pytest.mark.parametrize("teacher", [0.3, 0.5, 0.52])
def test_a_teacher_that_is_not_shown_to_know_more_is_refused_with_its_numbers(teacher):
    found = followed({**BASE, "teacher": teacher, "distil": 0.8}, **LARGE)
    assert did(found)["distil"] == "leave out"
    assert "distil" not in ran(found)
    assert "not shown to be better than" in why(found, "distil")
    assert "needs no teacher" in why(found, "distil")


def test_a_teacher_that_was_not_measured_teaches_nobody():
    found = followed({**BASE, "distil": 0.8}, **LARGE)
    assert why(found, "distil") == "the teacher was not measured on these cases"
    failed = Run(spec=spec("teacher"), seed=0, fold=None, state="failed", because="key refused")
    reason = why_not_taught(shape_of(), [failed], spec("distil"))
    assert reason.endswith("these cases: key refused")


def test_the_bound_is_of_the_shared_cases_and_is_wide_where_they_are_few():
    runs = [*runs_of("teacher", 0.8), *runs_of("lora", 0.7)]
    assert why_not_taught(shape_of(), runs, spec("distil")) == ""
    few = [*runs_of("teacher", 0.8), *runs_of("lora", 0.7, ids=IDS[::40])]
    assert "n 10)" in why_not_taught(shape_of(), few, spec("distil"))


def test_looks_at_the_same_rows_are_paid_for():
    close = [*runs_of("teacher", 0.8), *runs_of("lora", 0.76)]
    assert why_not_taught(shape_of(), close, spec("distil")) == ""
    assert why_not_taught(shape_of(looks=2000), close, spec("distil"))


def test_the_teachers_own_model_is_no_rival_of_the_teacher():
    """Motive cost: what runs today is the teacher, and a student is to replace it."""
    shape, own = shape_of(), runs_of("present", 0.8, "large")
    runs = [*runs_of("teacher", 0.8, "large"), *own, *runs_of("zero_shot", 0.2, "small")]
    assert why_not_taught(shape, runs, spec("distil")) == ""
    other = [*runs_of("teacher", 0.8, "large"), *runs_of("present", 0.8, "x")]
    assert "better than present" in why_not_taught(shape, other, spec("distil")), "the control"
    assert why_not_taught(shape, runs_of("teacher", 0.1, "large"), spec("distil")) == ""


def test_request_options_make_no_other_model_of_an_endpoint():
    def served(name, model, **more):
        marks = {"endpoint": "https://x/v1", "model": model, **more}
        return [r.model_copy(update={"fingerprint": marks}) for r in runs_of(name, 0.8)]

    shape, teacher = shape_of(), served("teacher", "large", options='{"effort": "high"}')
    assert why_not_taught(shape, [*teacher, *served("present", "large")], spec("distil")) == ""
    assert why_not_taught(shape, [*teacher, *served("present", "small")], spec("distil"))


def test_arms_without_a_teacher_pass_the_gate_and_a_seed_student_is_a_rival():
    shape, runs = shape_of(), [*runs_of("teacher", 0.2), *runs_of("lora", 0.7)]
    assert why_not_taught(shape, runs, spec("lora")) == ""
    seed = spec("distil").model_copy(update={"name": "seed", "tool": "tune"})
    assert why_not_taught(shape, runs, seed) == ""
    students = [r.model_copy(update={"spec": seed}) for r in runs_of("distil", 0.9)]
    assert "better than seed" in why_not_taught(
        shape, [*runs_of("teacher", 0.8), *students], spec("distil")
    )


def test_each_student_is_judged_by_the_teacher_under_its_own_prompt():
    """A teacher with the best prompt may know more than one with the instruction alone."""

    def taught(prompt):
        return spec("distil").model_copy(update={"options": {"teacher_prompt": prompt}})

    def teachers(prompt, right):
        more = {"name": f"teacher(teacher_prompt={prompt})", "options": {"teacher_prompt": prompt}}
        own = spec("teacher").model_copy(update=more)
        return [run.model_copy(update={"spec": own}) for run in runs_of("teacher", right)]

    runs = [*teachers("zero", 0.3), *teachers("best", 0.9), *runs_of("lora", 0.5)]
    for given in (runs, runs[::-1]):
        assert why_not_taught(shape_of(), given, taught("best")) == ""
        assert "better than lora" in why_not_taught(shape_of(), given, taught("zero"))
    assert "better than lora" in why_not_taught(shape_of(), runs, taught("input")), "the first one"
    failed = [run.model_copy(update={"state": "failed", "because": Reason.of("too long")})
              for run in teachers("best", 0.9)]  # fmt: skip
    left = [*teachers("zero", 0.9), *failed]
    assert why_not_taught(shape_of(), left, taught("best")).endswith("these cases: too long")
