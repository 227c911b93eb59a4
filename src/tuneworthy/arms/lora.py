"""The task's open model with a low-rank adapter (LoRA) trained on the training rows."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.arms._prompted import as_answer, room
from tuneworthy.arms._trained import Tuning, recipe_of, small, tuned, work
from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Fitted, Setup, Sizes, Work
from tuneworthy.core.case import Message, Query
from tuneworthy.core.model import Limits, Model
from tuneworthy.prompting.messages import build

TOOL, ROLE, SIMPLICITY = "tune", "candidate", 10
NEEDS = frozenset({"training"})
REMEDY, PLACEBO = "learnable", "the same training on shuffled answers"


class Options(Tuning):
    """Size and pace of training, all of them shared with the other trained arms (see Tuning)."""


def placebo(options: Options) -> Options:
    """Return the same training on shuffled answers: form is learnt, the task is not."""
    return options.model_copy(update={"shuffled": True})


def pilot(options: Options) -> Options:
    """Return the same training on at most 100 rows."""
    return small(options)


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Train on the training rows (or load what a former run left) and answer with the adapter.

    Raises DoesNotApply where there is no row, or the model to tune cannot be trained here.
    """
    recipe = recipe_of(options)

    def prompts(queries: Sequence[Query]) -> list[tuple[Message, ...]]:
        return [build(setup.task, query, recipe, ()) for query in queries]

    def answers(queries: Sequence[Query], model: Model) -> list[Answer]:
        asked = prompts(queries)
        replies = model.reply(asked, Limits(max_tokens=room(setup)))
        return [as_answer(*each) for each in zip(queries, asked, replies, strict=True)]

    return tuned(setup, options, seed, prompts, answers)


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work of one training run, its dev answers after every epoch, and the scored ones.

    The shared prompt is read once a step, so it hardly counts.
    """
    return work(sizes, options)
