"""Choose the prompt of an arm on dev rows of its fold, in the arm's own setting.

The prompt that is best by itself need not be best with passages, a grammar or another model. An
arm gets the simplest few prompts of its fold (`Setup.prompts`) and answers dev rows with each in
the way it will answer the scored rows. A prompt replaces a simpler one only where it is shown to
be better, so near-ties go to the simpler one and all folds measure one arm. No scored row is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from tuneworthy.metrics import score_all
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Asks, Recipe, Setup, Sizes
from tuneworthy.records.case import Case, Query
from tuneworthy.records.counting import score_text

CHOICE_LEAST, MOST_CHOICE_ROWS = 10, 24  # dev rows for the choice of a prompt
_LEAST_SCORE_GAIN = 0.02  # mean gain on dev rows below which the simpler prompt is kept
MOST_PROMPTS, MOST_PROMPTS_PAID = 3, 2  # most prompts tried: on a local model, on a paid one
# Expected share of dev rows that a further prompt answers: half may suffice to drop it.
_USUAL_ROW_SHARE = 0.75
Ask = Callable[[Recipe, Sequence[Query]], list[Answer]]
"""Answers queries with a prompt in the way the arm will answer the scored rows."""


class _PromptChoice(NamedTuple):
    """The chosen prompt, and notes on how it was chosen (empty: there was no choice)."""

    recipe: Recipe
    notes: tuple[str, ...] = ()


def choose_prompt(
    setup: Setup, ask: Ask, *, gold: bool = False, most: int = MOST_PROMPTS
) -> _PromptChoice:
    """Return the simplest prompt that no other prompt is shown to beat on (at most 24) dev rows.

    A prompt replaces a simpler one where its mean paired gain exceeds both .02 and its standard
    error. It is dropped after half of the rows if it scores no better there. With one prompt or
    fewer than 10 dev rows, return the plain instruction if it is among `setup.prompts`, else
    `setup.recipe`. `gold` adds each dev row's gold passage (for a ceiling).
    """
    prompts = list(setup.prompts)[:most]
    rows = sorted(setup.dev, key=lambda case: case.id)[:MOST_CHOICE_ROWS]
    if len(prompts) < 2 or len(rows) < CHOICE_LEAST:
        best = Recipe() if Recipe() in prompts else setup.recipe
        few = (
            f"stands on {prompt_name(best)}: {len(rows)} dev rows are too few to choose a prompt on"
        )
        return _PromptChoice(best, (few,) if len(prompts) > 1 else ())
    queries = [case.query(gold_passage=gold) for case in rows]
    half = max(CHOICE_LEAST, len(rows) // 2)
    best, best_answers = prompts[0], ask(prompts[0], queries)
    comparisons = []
    for other in prompts[1:]:
        answers = ask(other, queries[:half])
        if half < len(rows) and fmean(_paired_gains(setup, rows[:half], answers, best_answers)) > 0:
            answers += ask(other, queries[half:])
        n = len(answers)
        better = n == len(rows) and is_significant_gain(
            _paired_gains(setup, rows, answers, best_answers)
        )
        means = ", ".join(
            score_text(fmean(_score_values(setup, rows[:n], each)))
            for each in (answers, best_answers)
        )
        word = "better" if better else "no better"
        comparisons.append(
            f"{prompt_name(other)} was {word} than {prompt_name(best)} on {n} dev rows ({means})"
        )
        setup.say(comparisons[-1])
        if better:
            best, best_answers = other, answers
    return _PromptChoice(best, (f"stands on {prompt_name(best)}: {', '.join(comparisons)}",))


def is_significant_gain(gains: Sequence[float]) -> bool:
    """Return whether a mean paired gain exceeds both .02 and its standard error."""
    least = max(_LEAST_SCORE_GAIN, stdev(gains) / sqrt(len(gains)))
    return fmean(gains) > least + 1e-9  # a gain on a single row equals its standard error


def prompt_name(recipe: Recipe) -> str:
    """Return the name of a prompt in notes: the arm that uses it, or a description."""
    if recipe.specification is not None or recipe.reminder is not None:
        return "a rewritten prompt"
    shots = f"nearest_shots with {recipe.k} examples"
    names = {"zero": "zero_shot", "few": "few_shot", "nearest": shots, "short": "the instruction"}
    return names.get(recipe.kind, "your own prompt")


def choice_requests(
    sizes: Sizes, passages: float = 0.0, role: str = "base", most: int = MOST_PROMPTS
) -> Asks:
    """Return the requests that choosing a prompt takes, over all folds; those shared count once.

    With folds, those with the plain instruction are not expected: its dev prompts are the scored
    prompts of another fold, which are answered only once.
    """
    further = max(min(sizes.prompts, most) - 1, 0)
    rows = min(sizes.dev, MOST_CHOICE_ROWS) if sizes.dev >= CHOICE_LEAST and further else 0
    first = rows if sizes.folds == 1 else 0
    rows *= sizes.folds
    return Asks(
        role=role,
        requests=first + _USUAL_ROW_SHARE * rows * further,
        most=rows * (1 + further),
        shared=sizes.shared,
        own=sizes.input_tokens + passages,
        prefixes=1.0 if first else 0.0,  # with folds read by the prompt arms before
        few=True,
    )


def _paired_gains(
    setup: Setup, rows: Sequence[Case], new: Sequence[Answer], old: Sequence[Answer]
) -> list[float]:
    ours, theirs = (_score_values(setup, rows, each) for each in (new, old[: len(rows)]))
    return [a - b for a, b in zip(ours, theirs, strict=True)]


def _score_values(setup: Setup, rows: Sequence[Case], answers: Sequence[Answer]) -> list[float]:
    """Return the scores of answers to dev rows; an answer that cannot be scored counts as 0."""
    scores = score_all(setup.score, rows, answers[: len(rows)])
    return [score.value if isinstance(score, Score) else 0.0 for score in scores]
