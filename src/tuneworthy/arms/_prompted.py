"""Helpers of the arms that prompt a model or look answers up: build, ask, draw, vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tuneworthy.arms._choice import CHOICE_LEAST, MOST_CHOICE_ROWS
from tuneworthy.arms._classified import softmax
from tuneworthy.arms.prompt.lenient import normal_form
from tuneworthy.arms.prompt.messages import build, build_all
from tuneworthy.arms.prompt.shots import fixed_examples
from tuneworthy.metrics import score_all
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import RETRY_TOKEN_FACTOR, Asks, Fitted, Setup, Sizes, Work
from tuneworthy.records.artefact import Pack, Recipe
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.model import (
    SCORED_LABELS,
    Limits,
    Model,
    Prompt,
    Reply,
    limits_for,
    reasoning_tokens,
    scaled_limits,
)
from tuneworthy.records.run import RECORDED
from tuneworthy.records.task import OutputType

_SUMMED = ("tokens_in", "tokens_cached", "tokens_out", "tokens_thought", "seconds", "usd")

_TRIED_DEV_ROWS = 16  # dev rows for the choice of a set of examples: sets differ little
_COUNTED_PROMPTS = 40  # prompts counted to check that they fit the context


def prompting_arm(
    setup: Setup,
    recipe: Recipe,
    *,
    model: Model | None = None,
    limits: Limits | None = None,
    labels: bool = False,
) -> Fitted:
    """Return an arm that builds each prompt by `recipe` and asks the model once, greedily.

    It counts as learned if training rows decide what the prompt says. With `labels`, the task's
    labels are scored in the same forward pass if the model can do that cheaply, so an arm that
    uses the same prompt need not read it again; of dev cases only the ones in the prompt choice.
    `limits` None: those of the task.
    """
    target: Any = model or setup.models["base"]
    usual = limits or limits_for(setup.task, answer_token_limit(setup))
    names = [str(label) for label in setup.task.output.labels or ()]
    scores = labels and 0 < len(names) <= SCORED_LABELS and hasattr(target, "reply_scored")

    unscored = set(sorted(case.id for case in setup.dev)[MOST_CHOICE_ROWS:])

    def ask(queries: Sequence[Query], scored: bool, limits: Limits = usual) -> list[Answer]:
        prompts = build_all(setup.task, queries, recipe, setup.train)
        if scored:
            replies, rows = target.reply_scored(prompts, limits, names)
        else:
            replies, rows = target.reply(prompts, limits), [None] * len(queries)
        answers = [as_answer(*each) for each in zip(queries, prompts, replies, strict=True)]
        tables = [row and dict(zip(names, softmax(row), strict=True)) for row in rows]
        return [
            answer.model_copy(update={"labels": table}) if table else answer
            for answer, table in zip(answers, tables, strict=True)
        ]

    def answer(queries: Sequence[Query]) -> list[Answer]:
        if not scores or len(queries) == 1:  # a single query may be a timed one
            return ask(queries, False)
        found: dict[str, Answer] = {}
        for is_dev in (False, True):
            if part := [query for query in queries if (query.id in unscored) == is_dev]:
                found |= {answer.case: answer for answer in ask(part, not is_dev)}
        return [found[query.id] for query in queries]

    def longer(queries: Sequence[Query]) -> list[Answer]:
        return ask(queries, False, scaled_limits(usual, RETRY_TOKEN_FACTOR))

    def again(queries: Sequence[Query], n: int) -> list[Answer]:
        return ask(queries, False, usual.model_copy(update={"sample": n}))

    return Fitted(
        answer=answer,
        learned=recipe.learned,
        recipe=recipe,
        model=target,
        longer=longer,
        again=again,
        pack=prompt_pack(setup, recipe, limits=usual),
    )


def prompt_pack(setup: Setup, recipe: Recipe, **more: Any) -> Pack:
    """Return the pack of an arm that prompts by `recipe`: the recipe and the rows it may show.

    `more` are other fields of the pack; `limits` are those of the task if not given. Nearest
    examples need every training row, fixed ones only their own.
    """
    if recipe.kind in ("zero", "short", "file") or not (recipe.shots or recipe.k):
        shown: Sequence[Case] = ()
    elif recipe.kind == "nearest" and not recipe.shots:
        shown = setup.train
    else:
        names = recipe.shots or fixed_examples(setup.train, recipe.k, setup.task.seed)
        recipe = recipe.model_copy(update={"shots": tuple(names)})
        shown = [case for case in setup.train if case.id in set(names)]
    limits = limits_for(setup.task, answer_token_limit(setup))
    return Pack(**{"recipe": recipe, "examples": tuple(shown), "limits": limits, **more})


def check_fit(setup: Setup, recipe: Recipe, model: Model | None = None) -> None:
    """Raise DoesNotApply if prompts with k examples leave no room for an answer.

    Checked on the longest dev inputs (training inputs if there is no dev); the message names the
    largest k that fits. No check is made if the model reports no context size. `model` is the
    model that gets the prompts (None: the base model).
    """
    model = model or setup.models["base"]
    if model.context is None:
        return
    cases = sorted(setup.dev or setup.train, key=lambda case: (-len(case.input), case.id))[
        :_COUNTED_PROMPTS
    ]

    def longest(k: int) -> int:
        tried = recipe.model_copy(update={"k": k})
        prompts = [build(setup.task, case.query(), tried, setup.train) for case in cases]
        beside = answer_token_limit(setup) + reasoning_tokens(setup.task, model)
        return max(map(model.count_tokens, prompts), default=0) + beside

    if (needed := longest(recipe.k)) <= model.context:
        return
    low, high = 0, recipe.k  # binary search: k = low fits (or none does), k = high does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if longest(middle) <= model.context else (low, middle)
    raise DoesNotApply(
        f"prompts with {recipe.k} examples take up to {needed} tokens with their answer, the "
        f"context of {model.spec} is {model.context}: "
        + (f"at most k = {low} fits" if low else "not even one example fits")
    )


def mean_score(setup: Setup, cases: Sequence[Case], answers: Sequence[Answer]) -> float:
    """Return the mean score of answers to dev cases; one that cannot be scored counts as 0."""
    scores = score_all(setup.score, cases, answers)
    return sum(score.value for score in scores if isinstance(score, Score)) / len(scores)


def best_on_dev(setup: Setup, arms: Sequence[Fitted]) -> Fitted:
    """Return the arm with the best mean score on (at most 16) dev rows, the first of equals.

    With few dev rows or a single arm it is the first. Its answers on dev rows are not asked again.
    """
    dev = sorted(setup.dev, key=lambda case: case.id)[:_TRIED_DEV_ROWS]
    best, best_answers = arms[0], list[Answer]()
    if len(arms) > 1 and len(dev) >= CHOICE_LEAST:
        tried = [arm.answer([case.query() for case in dev]) for arm in arms]
        scores = [mean_score(setup, dev, answers) for answers in tried]
        first = scores.index(max(scores))
        best, best_answers = arms[first], tried[first]
    reusable = {a.case: a for a in best_answers if not a.error}  # a failed one is asked again
    return replace(best, known=lambda query: reusable.get(query.id))


def work_of_sets(sizes: Sizes, k: int, draws: int) -> Work:
    """Return the work of an arm that chooses among `draws` sets of k examples on dev rows.

    The examples belong to the shared prompt, which is read once for each set.
    """
    tried = min(sizes.dev, _TRIED_DEV_ROWS) if draws > 1 and sizes.dev >= CHOICE_LEAST else 0
    shared, sets = sizes.shared + k * sizes.shot, sizes.folds * draws
    cases = Asks(requests=sizes.cases, shared=shared, own=sizes.own)
    trials = Asks(requests=sets * tried, shared=shared, own=sizes.own, prefixes=sets, few=True)
    return Work(asks=(cases, trials), answer=sizes.answer)


def answer_token_limit(setup: Setup) -> int:
    """Return the token limit of an answer: `output.max_tokens`, filled in when rows are read."""
    return setup.task.output.token_limit


def sum_usage(replies: Sequence[Reply | Answer]) -> dict[str, Any]:
    """Return {field: sum} of tokens, seconds and cost of replies; None where a reply lacks it."""
    sums: dict[str, Any] = {}
    for name in _SUMMED:
        parts = [getattr(reply, name) for reply in replies]
        sums[name] = None if None in parts else sum(parts)
    return sums


def first_then(
    queries: Sequence[Query],
    first: Callable[[Sequence[Query]], list[Answer]],
    then: Callable[[Sequence[Query]], list[Answer]],
    least: float,
    billed: bool = False,
) -> list[Answer]:
    """Return the answers of `first` from the probability `least` on, and those of `then` below.

    Seconds of both count where both were asked. `billed`: requests of `then` have a price, so those
    that it is spared cost 0.
    """
    free = {"tokens_in": 0, "tokens_out": 0, **({"usd": 0.0} if billed else {})}
    sure = [answer.model_copy(update=free) for answer in first(queries)]
    asked = [query for query, one in zip(queries, sure, strict=True)
             if (one.probability or 0.0) < least]  # fmt: skip
    rest = {answer.case: answer for answer in (then(asked) if asked else ())}
    return [
        one if (other := rest.get(one.case)) is None
        else other.model_copy(update={"seconds": sum_usage([one, other])["seconds"]})
        for one in sure
    ]  # fmt: skip


def as_answer(query: Query, prompt: Sequence[Message], reply: Reply) -> Answer:
    """Return a reply as the answer to a query, with the prompt that was sent."""
    return Answer(
        case=query.id,
        text=reply.text,
        tokens_in=reply.tokens_in,
        tokens_cached=reply.tokens_cached,
        tokens_out=reply.tokens_out,
        tokens_thought=reply.tokens_thought,
        seconds=reply.seconds,
        usd=reply.usd,
        finish="error" if reply.error else reply.finish,
        error=reply.error,
        lost=reply.lost,
        prompt=tuple(prompt),
        served=reply.served,
        system_fingerprint=reply.system_fingerprint,
        concurrency=reply.concurrency,
        labels=reply.labels,
    )


def recorded_arm(setup: Setup) -> Fitted:
    """Return an arm that looks up each answer; a case without one is an error, never dropped."""

    def look_up(query: Query) -> Answer:
        return setup.recorded.get(query.id) or Answer.missing(query.id, "not recorded")

    def answer(queries: Sequence[Query]) -> list[Answer]:
        return [look_up(query) for query in queries]

    return Fitted(answer=answer, learned=False, notes=(RECORDED,))


def draw_samples(
    model: Model, prompts: Sequence[Prompt], limits: Limits, m: int
) -> list[list[Reply]]:
    """Return m lists, each with one sample for every prompt; a local model reads a prompt once."""
    if hasattr(model, "draws"):
        samples: list[list[Reply]] = model.draws(prompts, limits, m)
        return samples
    numbered = (limits.model_copy(update={"sample": n}) for n in range(m))
    return [model.reply(prompts, limited) for limited in numbered]


def majority_reply(replies: Sequence[Reply], kind: OutputType | None) -> Reply:
    """Return the first reply with the most frequent answer; in a tie, the one given first.

    Only replies that ended by themselves vote; if none did, all replies without an error.
    """
    back = [reply for reply in replies if reply.error is None]
    voters = [reply for reply in back if reply.finish == "stop"] or back or list(replies)
    votes = [normal_form(reply.text, kind) for reply in voters]
    counts = Counter(votes)  # keeps the order of first occurrence, which breaks ties
    return voters[votes.index(max(counts, key=counts.__getitem__))]


def majority_answers(
    queries: Sequence[Query],
    prompts: Sequence[Prompt],
    draws: Sequence[Sequence[Reply]],
    kind: OutputType | None,
) -> list[Answer]:
    """Return the majority of the draws of each prompt; tokens, seconds and cost are sums.

    `draws` are lists with one sample of every prompt each, as `draw_samples` returns them.
    """
    answers = []
    for query, prompt, replies in zip(queries, prompts, zip(*draws, strict=True), strict=True):
        best = as_answer(query, prompt, majority_reply(replies, kind))
        all_of_it = {"samples": tuple(reply.text for reply in replies), **sum_usage(replies)}
        answers.append(best.model_copy(update=all_of_it))
    return answers
