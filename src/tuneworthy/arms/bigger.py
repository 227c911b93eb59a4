"""The larger model that the task names, with the prompt that scores best on dev rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tuneworthy.arms import _choice
from tuneworthy.arms._prompted import prompt_pack, prompting_arm
from tuneworthy.models import is_paid
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Asks, Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.records.case import Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "bigger", "candidate", 10
NEEDS = frozenset({"bigger"})
WITHOUT_GOLD = True
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


def estimate(sizes: Sizes, options: Options) -> Work:  # noqa: ARG001
    """Return one request for each case, with the prompt's examples, and the prompt's choice.

    A plan's minutes are those of the base model, too few for a larger one.
    """
    cases = Asks(role="bigger", requests=sizes.cases, shared=sizes.shared, own=sizes.input_tokens)
    choice = _choice.choice_requests(sizes, role="bigger", most=_choice.MOST_PROMPTS_PAID)
    return Work(asks=(cases, choice), answer=sizes.answer)
