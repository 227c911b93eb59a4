"""Choose the prompt that an arm stands on, in the arm's own setting, on dev rows of its fold.

The prompt that is best by itself need not be best with passages, a grammar or another model. An arm
is handed the simplest few prompts of its fold (`Setup.prompts`) and answers dev rows with each as
it will answer the scored rows. A prompt replaces a simpler one only where it is shown to be better,
so that near-ties go to the simpler one and the folds measure one arm. No scored row is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from tuneworthy.core.answer import Answer, Score
from tuneworthy.core.arm import Asks, Recipe, Setup, Sizes
from tuneworthy.core.case import Case, Query
from tuneworthy.metrics import score_all

DEV_LEAST, DEV_MOST = 10, 24  # dev rows that a prompt is chosen on
GAIN = 0.02  # mean gain on dev rows below which the simpler prompt is kept
PROMPTS, PAID = 3, 2  # prompts that are tried at most, here and of a model that costs money
USUAL = 0.75  # of its dev rows that a further prompt is asked: it may be dropped at half of them
Ask = Callable[[Recipe, Sequence[Query]], list[Answer]]
"""Answers queries with a prompt, as the arm will answer the scored rows."""


class Chosen(NamedTuple):
    """The prompt that an arm stands on, and notes on how it was chosen (none: no choice)."""

    recipe: Recipe
    notes: tuple[str, ...] = ()


def chosen(setup: Setup, ask: Ask, *, gold: bool = False, most: int = PROMPTS) -> Chosen:
    """Return the simplest prompt that none of the others is shown to beat on (at most 24) dev rows.

    A prompt replaces a simpler one where its mean paired gain exceeds both .02 and its standard
    error. It is dropped at half of the rows where it scores no better there. With one prompt or
    fewer than 10 dev rows: the plain instruction, or `setup.recipe` where that was not measured.
    Without prompts it is `setup.recipe`. `gold` shows each dev row's gold passage (a ceiling).
    """
    prompts = list(setup.prompts)[:most]
    rows = sorted(setup.dev, key=lambda case: case.id)[:DEV_MOST]
    if len(prompts) < 2 or len(rows) < DEV_LEAST:
        best = Recipe() if Recipe() in prompts else setup.recipe
        few = f"stands on {named(best)}: {len(rows)} dev rows are too few to choose a prompt on"
        return Chosen(best, (few,) if len(prompts) > 1 else ())
    queries = [case.query(gold_passage=gold) for case in rows]
    half = max(DEV_LEAST, len(rows) // 2)
    best, told = prompts[0], ask(prompts[0], queries)
    said = []
    for other in prompts[1:]:
        answers = ask(other, queries[:half])
        if half < len(rows) and fmean(_gains(setup, rows[:half], answers, told)) > 0:
            answers += ask(other, queries[half:])
        n = len(answers)
        better = n == len(rows) and shown(_gains(setup, rows, answers, told))
        means = ", ".join(
            _figure(fmean(_values(setup, rows[:n], some))) for some in (answers, told)
        )
        word = "better" if better else "no better"
        said.append(f"{named(other)} was {word} than {named(best)} on {n} dev rows ({means})")
        setup.say(said[-1])
        if better:
            best, told = other, answers
    return Chosen(best, (f"stands on {named(best)}: {', '.join(said)}",))


def shown(gains: Sequence[float]) -> bool:
    """Return whether a mean paired gain exceeds both .02 and its standard error."""
    least = max(GAIN, stdev(gains) / sqrt(len(gains)))
    return fmean(gains) > least + 1e-9  # a gain of one row equals its standard error


def named(recipe: Recipe) -> str:
    """Return what a prompt is called in a note: the arm that asks it, or what it is."""
    if recipe.specification is not None or recipe.reminder is not None:
        return "a rewritten prompt"
    shots = f"nearest_shots with {recipe.k} examples"
    names = {"zero": "zero_shot", "few": "few_shot", "nearest": shots, "short": "the instruction"}
    return names.get(recipe.kind, "today's prompt")


def asks(sizes: Sizes, passages: float = 0.0, role: str = "base", most: int = PROMPTS) -> Asks:
    """Return the requests that the choice makes of an endpoint, in all folds."""
    rows, further = _rows(sizes, most)
    usual = rows * (1 + USUAL * further) if further else 0
    read = sizes.shared + sizes.asked + passages
    return Asks(role=role, requests=usual, most=rows * (1 + further), read=read, few=True)


def work(sizes: Sizes, passages: float = 0.0) -> tuple[float, float]:
    """Return the tokens that the choice reads and writes here, in all folds.

    The plain instruction is not counted: a dev row's prompt is that of a scored row of another
    fold, which is asked once. One of the further prompts brings examples of its own.
    """
    rows, further = _rows(sizes, PROMPTS)
    tried = USUAL * rows * further
    shots = USUAL * rows * sizes.examples * sizes.shot if further else 0.0
    return tried * (sizes.own + passages) + shots, tried * sizes.answer


def _rows(sizes: Sizes, most: int) -> tuple[int, int]:
    """Return the dev rows of all folds, and how many prompts are tried beside the simplest."""
    further = max(min(sizes.prompts, most) - 1, 0)
    rows = min(sizes.dev, DEV_MOST) if sizes.dev >= DEV_LEAST and further else 0
    return sizes.folds * rows, further if rows else 0


def _gains(
    setup: Setup, rows: Sequence[Case], new: Sequence[Answer], old: Sequence[Answer]
) -> list[float]:
    ours, theirs = (_values(setup, rows, some) for some in (new, old[: len(rows)]))
    return [a - b for a, b in zip(ours, theirs, strict=True)]


def _values(setup: Setup, rows: Sequence[Case], answers: Sequence[Answer]) -> list[float]:
    """Return the scores of answers to dev rows; what cannot be scored counts as wrong."""
    scores = score_all(setup.score, rows, answers[: len(rows)])
    return [score.value if isinstance(score, Score) else 0.0 for score in scores]


def _figure(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")
