"""The instruction and the k training examples most like the input (TF-IDF cosine)."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.arms._prompted import check_fit, prompting_arm
from tuneworthy.records.arm import Asks, Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 30
NEEDS = frozenset({"model"})
REMEDY, PLACEBO = "convention", "the same examples with other answers"
VARIANTS = ({"k": 4}, {"k": 16})  # run besides the default; dev rows choose among them
CONTEXT = True


class Options(Record):
    """`k` examples an input; `shuffled` gives each example another one's answer (the placebo)."""

    k: int = Field(default=8, ge=1, le=256)
    shuffled: bool = False


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the fitted arm; its examples come only from training cases. Raises DoesNotApply."""
    if len(setup.train) < options.k:
        raise DoesNotApply(f"{len(setup.train)} training rows are fewer than {options.k} examples")
    recipe = Recipe(kind="nearest", k=options.k, shuffled=options.shuffled)
    check_fit(setup, recipe)
    return prompting_arm(
        setup, recipe, labels=not options.shuffled
    )  # the reading dominates the cost


def placebo(options: Options) -> Options:
    """Return the placebo's options: the same examples with their answers shuffled."""
    return options.model_copy(update={"shuffled": True})


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return one request for each case; its examples are its own, so none are shared."""
    own = sizes.own + options.k * sizes.shot
    return Work(
        asks=(Asks(requests=sizes.cases, shared=sizes.shared, own=own),), answer=sizes.answer
    )
