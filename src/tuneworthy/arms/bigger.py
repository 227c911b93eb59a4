"""The larger model that the task names, with the prompt that scores best on dev rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tuneworthy.arms import _choice
from tuneworthy.arms._prompted import prompt_pack, prompting_arm
from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Asks, Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.core.case import Query
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.record import Record
from tuneworthy.models import is_paid

TOOL, ROLE, SIMPLICITY = "bigger", "candidate", 10
NEEDS = frozenset({"bigger"})
REMEDY = "capability"
CHOOSES_PROMPT = True


class Options(Record):
    """No options: the model is the task's `bigger`.

    It has no placebo: that would be another model of the base model's own size, which a task does
    not name. The effect of a second answer alone shows where the base is run again (`rerun`).
    """


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the arm fitted with the prompt that is best on dev rows of the larger model.

    On a paid model at most 2 prompts are tried. The arm counts as learned if its prompt does.
    Raises DoesNotApply if `bigger` is not set or cannot be opened.
    """
    if (model := setup.models.get("bigger")) is None:
        raise DoesNotApply("the task's `bigger` is not set, or can't be opened here")

    def ask(recipe: Recipe, queries: Sequence[Query]) -> list[Answer]:
        return prompting_arm(setup, recipe, model=model).answer(queries)

    most = _choice.MOST_PROMPTS if not is_paid(model.spec) else _choice.MOST_PROMPTS_PAID
    recipe, notes = _choice.choose_prompt(setup, ask, most=most)
    fitted = prompting_arm(setup, recipe, model=model)
    return replace(fitted, notes=notes, pack=prompt_pack(setup, recipe, role="bigger"))


def asks(sizes: Sizes, options: Options) -> tuple[Asks, ...]:  # noqa: ARG001
    """Return the endpoint requests: one per case, and dev rows to choose the prompt."""
    read = sizes.shared + sizes.input_tokens
    answers = Asks(role="bigger", requests=sizes.cases, most=sizes.cases, read=read)
    return (answers, _choice.choice_requests(sizes, role="bigger", most=_choice.MOST_PROMPTS_PAID))


def estimate(sizes: Sizes, options: Options) -> Work:  # noqa: ARG001
    """Return the arm's cost, with the prompt's examples and the dev rows of the prompt choice.

    In tokens: a plan's minutes are those of the base model, too few for a larger one.
    """
    tried, written = _choice.choice_tokens(sizes)
    read = sizes.shared + sizes.cases * sizes.input_tokens + tried
    return Work(requests=sizes.cases, read=read, written=sizes.cases * sizes.answer + written)
