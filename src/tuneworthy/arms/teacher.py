"""The teacher on the user's own cases: a ceiling for what a distilled student can learn from it."""

from __future__ import annotations

from dataclasses import replace

from tuneworthy.arms._pairs import (
    FIXED_PROMPTS,
    TeacherOptions,
    teacher_of,
    teacher_recipe,
    without_passage,
)
from tuneworthy.arms._prompted import prompting_arm
from tuneworthy.records.arm import Asks, Fitted, Setup, Sizes, Work

TOOL, ROLE, SIMPLICITY = "", "ceiling", 20
NEEDS = frozenset({"teacher"})
BUILDS_ON_PROMPT = True


class Options(TeacherOptions):
    """The teacher's prompt, the same with which it writes the answers that a student learns."""


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the arm in which the teacher answers each case. Raises DoesNotApply without one.

    A ceiling may see the gold passage of a case; a teacher gets the question alone, as it does for
    an input without an answer.
    """
    recipe = teacher_recipe(setup, options.teacher_prompt)
    fitted = prompting_arm(setup, recipe, model=teacher_of(setup))
    longer = fitted.longer
    return replace(
        fitted,
        answer=without_passage(fitted.answer),
        longer=without_passage(longer) if longer else None,
    )


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return one request to the teacher for each case."""
    own = sizes.own if options.teacher_prompt in FIXED_PROMPTS else sizes.input_tokens
    cases = Asks(role="teacher", requests=sizes.cases, shared=sizes.shared, own=own)
    return Work(asks=(cases,), answer=sizes.answer)
