"""A long prompt distilled into the weights: the same model learns to do without its examples."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from tuneworthy.arms._distilled import adapter_student, taught_student
from tuneworthy.arms._pairs import Prompt
from tuneworthy.arms._prompted import check_fit
from tuneworthy.arms._student_rows import DistilOptions, taught_work
from tuneworthy.arms._trained import model_in_process, recipe_of
from tuneworthy.arms.prompt.messages import build_all
from tuneworthy.records.arm import Fitted, Setup, Sizes, Work
from tuneworthy.records.errors import DoesNotApply

TOOL, ROLE, SIMPLICITY = "distil", "candidate", 20
NEEDS = frozenset({"training"})
BUILDS_ON_PROMPT = True
UNLABELLED = True
BY_NAME = True  # its teacher is the model that `lora` trains on the right answers
_COUNTED_INPUTS = 8  # training inputs whose prompts are counted


class Options(DistilOptions):
    """Options as of `distil`; the teacher is the model before tuning, under the fold's best prompt.

    Labelled rows are inputs as well; their answers only reject what the teacher gets wrong. A
    single greedy sample is what users get under the long prompt today.
    """

    samples: Annotated[int, Field(ge=1, le=64)] = 1
    teacher_prompt: Prompt = "best"
    student: Literal["tune"] = "tune"
    learns: Literal["teacher"] = "teacher"
    gold: Literal["auto", "only_teacher"] = "only_teacher"


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Return the model trained to answer a short prompt as it answers the long one.

    `trace["distilled"]["prompt_tokens"]` has the mean tokens of both prompts. Raises DoesNotApply
    if the best prompt of the fold is no longer than the short one, or leaves no room.
    """
    model = model_in_process(setup)
    check_fit(setup, setup.recipe, model)
    queries = [case.query() for case in setup.train[:_COUNTED_INPUTS]]
    long, short = (
        sum(map(model.count_tokens, build_all(setup.task, queries, recipe, setup.train)))
        for recipe in (setup.recipe, recipe_of(options))
    )
    if long <= short:
        raise DoesNotApply("the best prompt of this fold is no longer than the short one")
    own = replace(setup, models={"tune": model, "teacher": model})
    return taught_student(own, model, options, adapter_student(own, model, model, options, seed))


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work: inputs are read with the long prompt, sampled, and trained with the short.

    Its teacher is the model itself.
    """
    return taught_work(sizes, options, sizes.input_tokens, teacher="tune")
