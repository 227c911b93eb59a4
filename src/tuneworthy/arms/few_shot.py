"""The instruction and k fixed examples, the same for every input."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from tuneworthy.arms._choice import CHOICE_LEAST
from tuneworthy.arms._prompted import mean_score, prompting_arm
from tuneworthy.arms.prompt.shots import fixed_examples, random_examples
from tuneworthy.records.arm import Asks, Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 20
NEEDS = frozenset({"model"})
REMEDY, PLACEBO = "convention", "the same examples with their answers shuffled"
CONTEXT = True
_TRIED_DEV_ROWS = 16  # dev rows for the choice of a set of examples: sets differ little


class Options(Record):
    """`k` examples; of `draws` sets, the best one on (at most 16) dev rows, the first one varied.

    `shuffled` gives each example another one's answer (the placebo).
    """

    k: int = Field(default=8, ge=1, le=256)
    draws: int = Field(default=3, ge=1, le=64)
    shuffled: bool = False


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Return the arm with k training cases as examples, the same for every input.

    The placebo uses the same examples as the arm if `setup.recipe` holds them.
    """
    if options.shuffled and setup.recipe.kind == "few" and setup.recipe.k == options.k:
        return prompting_arm(setup, setup.recipe.model_copy(update={"shuffled": True}))
    if len(setup.train) < options.k:
        raise DoesNotApply(f"{len(setup.train)} training rows are fewer than {options.k} examples")
    sets = [tuple(fixed_examples(setup.train, options.k, seed))]
    sets += [
        random_examples(setup.train, options.k, f"{seed}.{n}") for n in range(1, options.draws)
    ]
    arms = [prompting_arm(setup, Recipe(kind="few", k=options.k, shots=shots)) for shots in sets]
    dev = sorted(setup.dev, key=lambda case: case.id)[:_TRIED_DEV_ROWS]
    if options.draws == 1 or len(dev) < CHOICE_LEAST:
        best, best_answers = arms[0], []
    else:
        tried = [arm.answer([case.query() for case in dev]) for arm in arms]
        scores = [mean_score(setup, dev, answers) for answers in tried]
        first = scores.index(max(scores))  # the first of equals
        best, best_answers = arms[first], tried[first]
    if options.shuffled and best.recipe:
        return prompting_arm(setup, best.recipe.model_copy(update={"shuffled": True}))
    reusable = {
        a.case: a for a in best_answers if not a.error
    }  # a failed answer is requested again
    return replace(best, known=lambda query: reusable.get(query.id))


def placebo(options: Options) -> Options:
    """Return the placebo's options: the same examples with their answers shuffled."""
    return options.model_copy(update={"shuffled": True})


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work: the cases, and each set of examples on the folds' dev rows.

    The examples belong to the shared prompt, which is read once for each set.
    """
    tried = (
        min(sizes.dev, _TRIED_DEV_ROWS) if options.draws > 1 and sizes.dev >= CHOICE_LEAST else 0
    )
    shared, sets = sizes.shared + options.k * sizes.shot, sizes.folds * options.draws
    cases = Asks(requests=sizes.cases, shared=shared, own=sizes.own)
    trials = Asks(requests=sets * tried, shared=shared, own=sizes.own, prefixes=sets, few=True)
    return Work(asks=(cases, trials), answer=sizes.answer)
