"""A small student that learns what a teacher writes: distillation, for a fraction of the price."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tuneworthy.arms._classified import fitted_classifier, fitted_vector_head
from tuneworthy.arms._distilled import adapter_student, taught_student
from tuneworthy.arms._pairs import FIXED_PROMPTS, teacher_of, without_passage
from tuneworthy.arms._prompted import prompting_arm
from tuneworthy.arms._student_rows import (
    DistilOptions,
    StudentRows,
    TrainStudent,
    taught_work,
)
from tuneworthy.arms._trained import (
    TuningOptions,
    model_in_process,
    prompting_with,
    recipe_of,
    train_model,
)
from tuneworthy.records.arm import Fitted, Recipe, Role, Setup, Sizes, Work
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.task import Task, Tool

TOOL, ROLE, SIMPLICITY = "distil", "candidate", 10
NEEDS = frozenset({"training", "teacher"})
BUILDS_ON_PROMPT = True
UNLABELLED = True
_Companion = tuple[str, dict[str, Any]]
_CLASSIFIER_C = 10.0  # inverse regularisation of the classifier, as of `tfidf`, `embedding_head`


class Options(DistilOptions):
    """Options of the pairs, of the student, and of training (see DistilOptions)."""


def needs(options: Options) -> frozenset[str]:
    """Return what a student needs: a classifier needs no model that can be trained."""
    needs = NEEDS - {"teacher"} if options.learns != "teacher" else NEEDS
    return needs - {"training"} if options.student == "classifier" else needs


def place(options: Options) -> tuple[Tool | None, Role]:
    """Return (tool, role) of a student by what it learns: distil, classifier, tune or a ceiling."""
    if options.learns == "own":
        return ("classifier" if options.student == "classifier" else "tune"), "candidate"
    return (None, "ceiling") if options.learns == "nothing" else ("distil", "candidate")


def companions(options: Options, task: Task) -> tuple[_Companion, ...]:
    """Return (arm, options) pairs shown beside a student: teacher, untouched and seed student.

    For the plain student of the task's own model they are `zero_shot` and `lora`.
    """
    if options.learns != "teacher":
        return ()
    given = options.model_dump(mode="json", exclude_unset=True)
    prompt = {"teacher_prompt": given["teacher_prompt"]} if "teacher_prompt" in given else {}
    teacher = ("teacher", prompt)
    if options.student == "classifier":
        return teacher, ("tfidf" if options.head == "tfidf" else "embedding_head", {})
    shape: dict[str, Any] = {key: given[key] for key in ("student", "every") if key in given}
    kept = {key: given[key] for key in given if key in TuningOptions.model_fields} | shape
    own: _Companion = ("distil", {**kept, "learns": "own"})
    if not kept:
        own = ("lora", {})
    untouched: _Companion = ("distil", {**shape, "learns": "nothing"})
    if options.student == "tune" and task.tune in (None, task.model):
        untouched = ("zero_shot", {})
    return teacher, untouched, own


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Return the student, trained on the kept pairs and the labelled rows.

    Raises DoesNotApply if teacher and student do not suit each other or no pair is kept, ModelError
    or NumericError if a self-check fails (see arms/_distilled.py).
    """
    if options.student == "classifier":
        return _classifier_student(setup, options, seed)
    student = student_of(setup, options)
    if options.learns == "nothing":
        fitted = prompting_arm(setup, Recipe(kind="zero"), model=student)
        return replace(fitted, answer=without_passage(fitted.answer), longer=None, pack=None)
    if options.learns == "own":
        own = replace(setup, models={"tune": student})
        fitted = train_model(own, options, seed, prompting_with(setup, recipe_of(options)))
        return _with_layer_count(fitted, options)
    teacher = teacher_of(setup)
    train = adapter_student(setup, student, teacher, options, seed)
    return _with_layer_count(taught_student(setup, teacher, options, train), options)


def _with_layer_count(fitted: Fitted, options: DistilOptions) -> Fitted:
    """Return the student with a pack that says how many layers its model keeps."""
    if options.student != "layers" or fitted.pack is None:
        return fitted
    return replace(fitted, pack=fitted.pack.model_copy(update={"every": options.every}))


def student_of(setup: Setup, options: DistilOptions) -> Any:
    """Return the model to train: the task's own, or a copy of it with fewer layers."""
    model = model_in_process(setup)
    if options.student == "tune":
        return model
    from tuneworthy.models.local.layer_drop import without_layers

    return without_layers(model, options.every)


def _classifier_student(setup: Setup, options: Options, seed: int) -> Fitted:
    """Return a classifier trained on the teacher's labels, as the student."""
    if setup.task.output.type != "label":
        raise DoesNotApply("a classifier answers with labels, and this task has none")
    if options.learns == "nothing":
        raise DoesNotApply("an untouched classifier gives no answers")

    def train(student_rows: StudentRows, own: Setup) -> Fitted:  # noqa: ARG001
        rows = student_rows.training_rows()
        if options.head == "vectors":
            return fitted_vector_head(rows, _CLASSIFIER_C, seed)
        return fitted_classifier(rows, _CLASSIFIER_C, seed)

    if options.learns == "own":
        return train(StudentRows(setup.train, (), ()), setup)
    taught: TrainStudent = train
    return taught_student(setup, teacher_of(setup), options, taught)


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the requests to the teacher, and the answers and the training of the student."""
    fixed = options.teacher_prompt in FIXED_PROMPTS
    return taught_work(sizes, options, sizes.own if fixed else sizes.input_tokens)
