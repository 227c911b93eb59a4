"""The majority answer of several samples, for a model that is right but not every time."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from tuneworthy.arms import _choice
from tuneworthy.arms._prompted import (
    answer_token_limit,
    draw_samples,
    majority_answers,
    prompt_pack,
    prompting_arm,
)
from tuneworthy.arms.prompt.messages import build_all
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import RETRY_TOKEN_FACTOR, Asks, Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.records.case import Query
from tuneworthy.records.model import Limits, limits_for, scaled_limits
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 50
NEEDS = frozenset({"model"})
REMEDY = "latent"
PERMUTED = True
CHOOSES_PROMPT = True
ON_FAILURES = True
APART = 256 * 1_000_003  # between the seeds of two draws: no sample of one is that of another


class Options(Record):
    """`m` samples at a `temperature`, with nucleus sampling at `top_p`."""

    m: int = Field(default=8, ge=2, le=256)
    temperature: float = Field(default=0.7, gt=0, le=2)
    top_p: float = Field(default=0.95, gt=0, le=1)


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Return the arm fitted with the best prompt on dev rows; `Answer.samples` holds all draws.

    The prompt is chosen by one greedy answer per dev row, not by the majority of samples, which
    would cost m times as much. The arm counts as learned if its prompt does.

    Its placebo needs no request: the same samples scored against another case's gold (PERMUTED).
    """
    model, kind = setup.models["base"], setup.task.output.type

    def ask(recipe: Recipe, queries: Sequence[Query]) -> list[Answer]:
        return prompting_arm(setup, recipe).answer(queries)

    recipe, notes = _choice.choose_prompt(setup, ask)
    drawn_as = {"temperature": options.temperature, "top_p": options.top_p, "seed": seed}
    limits = limits_for(setup.task, answer_token_limit(setup), **drawn_as)

    def answer(queries: Sequence[Query], limits: Limits = limits) -> list[Answer]:
        prompts = build_all(setup.task, queries, recipe, setup.train)
        draws = draw_samples(model, prompts, limits, options.m)
        return majority_answers(queries, prompts, draws, kind)

    def longer(queries: Sequence[Query]) -> list[Answer]:
        return answer(queries, scaled_limits(limits, RETRY_TOKEN_FACTOR))

    def again(queries: Sequence[Query], n: int) -> list[Answer]:
        return answer(queries, limits.model_copy(update={"seed": limits.seed + n * APART}))

    return Fitted(
        answer=answer,
        again=again,
        learned=recipe.learned,
        recipe=recipe,
        model=model,
        longer=longer,
        notes=notes,
        pack=prompt_pack(setup, recipe, limits=limits, votes=options.m),
    )


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return m requests for each case, with the prompt's examples.

    To choose a prompt, its greedy answers to dev rows are those that the prompt arms gave before.
    """
    draws = Asks(requests=options.m * sizes.cases, shared=sizes.shared, own=sizes.input_tokens,
                 prefixes=options.m)  # fmt: skip
    choice = _choice.choice_requests(sizes).model_copy(update={"requests": 0})
    return Work(asks=(draws, choice), answer=sizes.answer)
