"""The best prompt so far, rewritten: other words, examples and order, chosen on dev rows."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from tuneworthy.arms._prompted import prompting_arm
from tuneworthy.arms._searched import (
    SEARCH_MOST,
    USUAL_REQUEST_SHARE,
    PromptCandidate,
    Search,
    Trials,
    dev_passes,
    placebo_recipe,
    prompt_edits,
)
from tuneworthy.records.arm import Asks, Fitted, Setup, Sizes, Work
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 40
NEEDS = frozenset({"model"})
REMEDY = "convention"
PLACEBO = "as long a prompt about other things, the same examples with their answers shuffled"


class Options(Record):
    """`budget`: prompts tried on (at most 60) dev rows, including the first one.

    `irrelevant` (the placebo): words about other things, shuffled example answers.
    """

    budget: int = Field(default=8, ge=1, le=256)
    irrelevant: bool = False


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Search for a prompt and return the arm; `trace["search"]` has every prompt that was tried.

    Edits come in a fixed cycle, each applied to the best prompt at its turn. Raises DoesNotApply
    with too few dev rows to choose on.
    """
    if options.irrelevant:
        return prompting_arm(setup, placebo_recipe(setup.task, setup.recipe))
    start = PromptCandidate(what="the best prompt so far", recipe=setup.recipe)
    search = Search(Trials(setup), options.budget, start)
    remaining = list(prompt_edits(setup, seed))

    def propose(best: PromptCandidate, most: int) -> list[PromptCandidate]:
        proposals: list[PromptCandidate] = []
        for _ in range(len(remaining)):
            if len(proposals) == most:
                break
            remaining.append(edit := remaining.pop(0))
            prompt = PromptCandidate(
                what=edit.name, recipe=best.recipe.model_copy(update=edit.change)
            )
            if search.admit(prompt):
                proposals.append(prompt)
        return proposals

    search.run(propose)
    return replace(prompting_arm(setup, search.best.recipe), learned=True, trace=search.trace())


def placebo(options: Options) -> Options:
    """Return the placebo's options: a prompt of equal length about other things."""
    return options.model_copy(update={"irrelevant": True})


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work: the cases, and several passes over each fold's dev rows.

    The notes that a search adds about double the prompt that all inputs share.
    """
    tried = 0.0 if options.irrelevant else dev_passes(options.budget) * min(sizes.dev, SEARCH_MOST)
    most, shared, own = sizes.folds * tried, sizes.shared, sizes.input_tokens
    cases = Asks(requests=sizes.cases, shared=shared, own=own, prefixes=2)
    trials = Asks(requests=USUAL_REQUEST_SHARE * most, most=most, shared=shared, own=own,
                  prefixes=2 * options.budget * sizes.folds, few=True)  # fmt: skip
    return Work(asks=(cases, trials), answer=sizes.answer)
