"""A capable model reads failures of the best prompt and writes a better one (GEPA)."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from tuneworthy.arms._prompted import prompting_arm
from tuneworthy.arms._reflected import Reflection, specification_token_limit
from tuneworthy.arms._searched import (
    SEARCH_MOST,
    USUAL_REQUEST_SHARE,
    PromptCandidate,
    Search,
    Trials,
    dev_passes,
    placebo_recipe,
)
from tuneworthy.records.arm import Asks, Fitted, Setup, Sizes, Work
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 45
NEEDS = frozenset({"model", "reflection"})
REMEDY = "convention"
PLACEBO = "as long a prompt about other things, the same examples with their answers shuffled"
BY_NAME = True  # it uses a second, larger model, which a plan neither times nor prices


class Options(Record):
    """`budget`: prompts tried, including the first; parents are drawn from the Pareto front.

    A proposal is first tried on `rows` training rows on which its parent fails, and dropped if it
    is no better there. `words` is the longest specification. `irrelevant` (the placebo): words
    about other things, shuffled example answers.
    """

    budget: int = Field(default=8, ge=2, le=256)
    rows: int = Field(default=4, ge=1, le=64)
    words: int = Field(default=400, ge=20, le=10_000)
    irrelevant: bool = False


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Search for a specification and return the arm; `trace["search"]` has all that were tried.

    Reflective evolution after Agrawal et al. 2025 (arXiv 2507.19457). It reflects on training rows
    and chooses on dev rows, so no dev row is copied into a prompt. Raises DoesNotApply without a
    reflection model, or with too few dev rows.
    """
    if options.irrelevant:
        return prompting_arm(setup, placebo_recipe(setup.task, setup.recipe))
    if "reflection" not in setup.models:
        raise DoesNotApply("no `teacher` or `bigger` model is set, or it can't be opened here")
    trials = Trials(setup)
    search = Search(
        trials, options.budget, PromptCandidate(what="the best prompt so far", recipe=setup.recipe)
    )
    search.run(Reflection(trials, search, options.rows, options.words, seed).propose)
    return replace(prompting_arm(setup, search.best.recipe), learned=True, trace=search.trace())


def placebo(options: Options) -> Options:
    """Return the placebo's options: a prompt of equal length about other things."""
    return options.model_copy(update={"irrelevant": True})


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work: the cases, trials of prompts, and proposals of the larger model.

    At least one of two proposals is kept; each proposal may try 8 * `rows` training rows, with the
    parent prompt and with the new one.
    """
    shared, own = sizes.shared, sizes.input_tokens
    if options.irrelevant:
        cases = Asks(requests=sizes.cases, shared=shared, own=own, prefixes=2)
        return Work(asks=(cases,), answer=sizes.answer)
    tried = dev_passes(options.budget) * min(sizes.dev, SEARCH_MOST)
    proposals, rows = 2 * (options.budget - 1), 8 * options.rows
    usual, most = USUAL_REQUEST_SHARE * tried + rows * options.budget, tried + 2 * rows * proposals
    cases = Asks(requests=sizes.cases, shared=shared, own=own)
    trials = Asks(requests=sizes.folds * usual, most=sizes.folds * most, shared=shared, own=own,
                  prefixes=2 * options.budget * sizes.folds, few=True)  # fmt: skip
    reflected = Asks(role="reflection", requests=sizes.folds * options.budget,
                     most=sizes.folds * proposals, own=shared + options.rows * 3 * sizes.shot + 250,
                     written=float(specification_token_limit(options.words)))  # fmt: skip
    return Work(asks=(cases, trials, reflected), answer=sizes.answer)
