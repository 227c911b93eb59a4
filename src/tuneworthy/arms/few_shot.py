"""The instruction and k fixed examples, the same for every input."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.arms._prompted import prompted
from tuneworthy.core.arm import Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.record import Record
from tuneworthy.prompting.shots import fixed

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 20
NEEDS = frozenset({"model"})


class Options(Record):
    """`k` examples; `shuffled` deals their answers out wrongly (the placebo)."""

    k: int = Field(default=8, ge=1, le=256)
    shuffled: bool = False


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Choose k examples from the training cases, as varied as they are; raises DoesNotApply."""
    if len(setup.train) < options.k:
        raise DoesNotApply(f"{len(setup.train)} training rows are fewer than {options.k} examples")
    shots = tuple(fixed(setup.train, options.k, seed))
    recipe = Recipe(kind="few", k=options.k, shots=shots, shuffled=options.shuffled)
    return prompted(setup, recipe)


def placebo(options: Options) -> Options:
    """Return the same examples with their answers shuffled."""
    return options.model_copy(update={"shuffled": True})


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work: the examples are part of the shared prompt, read once."""
    read = sizes.shared + options.k * sizes.shot + sizes.cases * sizes.own
    return Work(requests=sizes.cases, read=read, written=sizes.cases * sizes.answer)
