"""Prompt search under a budget: the edits tried, trials on dev rows, and the record.

A search starts from the best prompt so far and doubles the prompts tried: 1, 2, 4, 8. The new
prompts of a round are halved on growing shares of the dev rows (successive halving, Jamieson and
Talwalkar 2016); the survivor replaces the best prompt only if it scores higher on all of them.
Every answer is kept in the unit's own folder, so a killed search resumes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from tuneworthy.arms._prompted import check_fit, prompting_arm
from tuneworthy.arms.prompt.messages import specification
from tuneworthy.arms.prompt.shots import random_examples
from tuneworthy.arms.prompt.wordings import irrelevant, reminders, wordings
from tuneworthy.metrics import by_set, score_all
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Setup
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record, digest
from tuneworthy.records.task import Task
from tuneworthy.store.trouble import store_errors

SEARCH_LEAST, SEARCH_MOST = 10, 60  # dev rows for the choice of a prompt
# Expected share of the most requests a search may make: ties end it early.
USUAL_REQUEST_SHARE = 0.8

_RUNG_ROWS = 12  # dev rows that a prompt answers before it can be dropped


class _TrialResult(Record):
    """One row's answer to a prompt under trial: its text, score and the metric's reason."""

    text: str
    value: float
    why: str = ""


class PromptCandidate(Record):
    """A prompt under trial: a description of the change, and the recipe."""

    what: str
    recipe: Recipe


@dataclass
class Trials:
    """Scores prompts on rows of one training fold; every answer is cached."""

    setup: Setup
    rows: list[Case] = field(init=False)
    _cache: dict[tuple[str, str], _TrialResult] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw the dev rows in a fixed random order. Raise DoesNotApply if there are too few."""
        order = sorted(self.setup.dev, key=lambda case: digest([case.id, "trial"]))
        if len(order) < SEARCH_LEAST:
            raise DoesNotApply(
                f"{len(order)} dev rows are too few to choose a prompt on, of {SEARCH_LEAST} needed"
            )
        self.rows = order[:SEARCH_MOST]

    def results(self, recipe: Recipe, cases: Sequence[Case]) -> list[_TrialResult]:
        """Return each case's answer and score under a prompt, cached ones where possible."""
        name = digest(recipe)
        new = [case for case in cases if (name, case.id) not in self._cache]
        if new:
            for case, trial in zip(new, self._score_answers(recipe, new), strict=True):
                self._cache[name, case.id] = trial
        return self._scored_together(cases, [self._cache[name, case.id] for case in cases])

    def mean(self, recipe: Recipe, cases: Sequence[Case]) -> float:
        """Return a prompt's mean score on some rows; an answer that can't be scored counts as 0."""
        return sum(one.value for one in self.results(recipe, cases)) / len(cases)

    def _scored_together(
        self, cases: Sequence[Case], trials: list[_TrialResult]
    ) -> list[_TrialResult]:
        """Return the trials, scored as a set if the metric scores answers together.

        Where a set is too small for the metric, each answer keeps its score alone.
        """
        if not by_set(self.setup.score):
            return trials
        answers = [Answer(case=c.id, text=t.text) for c, t in zip(cases, trials, strict=True)]
        scores = score_all(self.setup.score, cases, answers)
        return [
            trial.model_copy(update={"value": score.value, "why": score.why})
            if isinstance(score, Score)
            else trial
            for trial, score in zip(trials, scores, strict=True)
        ]

    def _score_answers(self, recipe: Recipe, cases: Sequence[Case]) -> list[_TrialResult]:
        model, folder = self.setup.models["base"], self.setup.folder / "trials"
        about = [case.plain() | {"where": ""} for case in cases]
        learnt = digest([case.plain() | {"where": ""} for case in self.setup.train], 16)
        key = digest([model.fingerprint, recipe.plain(), learnt, about], 32)
        path = folder / f"{key}.json"
        if (stored := read_cached_json(path)) is not None:
            return [_TrialResult.model_validate(one) for one in stored]
        answers = prompting_arm(self.setup, recipe).answer([case.query() for case in cases])
        trials = []
        for case, answer in zip(cases, answers, strict=True):
            score = self.setup.score(case, answer)
            one = score if isinstance(score, Score) else Score(value=0, why=score.reason)
            trials.append(_TrialResult(text=answer.text, value=one.value, why=one.why))
        if not any(answer.error for answer in answers):  # a failed request is repeated on resume
            write_json_atomically(path, [one.plain() for one in trials])
        return trials


def read_cached_json(path: Path) -> Any:
    """Return the JSON value that a former run left in a file; None if it cannot be read."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def write_json_atomically(path: Path, value: Any) -> None:
    """Write a value to a file atomically. Raise StoreError if it can't be written."""
    draft = path.with_suffix(".draft")
    with store_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(value), "utf-8")
        os.replace(draft, path)


_Propose = Callable[[PromptCandidate, int], Sequence[PromptCandidate]]

"""Takes the best prompt so far and a maximum; returns at most so many new prompts."""


@dataclass
class Search:
    """A search under a budget of prompts: the best one so far, and a record of every prompt.

    `fully_scored` holds the prompts that have answered all dev rows.
    """

    trials: Trials
    budget: int
    best: PromptCandidate
    tried: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    fully_scored: list[PromptCandidate] = field(default_factory=list)
    _digests: set[str] = field(default_factory=set)

    def run(self, propose: _Propose) -> None:
        """Try the first prompt, then double the prompts tried until the budget is spent.

        Stop early if nothing new is proposed.
        """
        rows = self.trials.rows
        self._digests.add(digest(self.best.recipe))
        self._record_prompt(self.best, len(rows))
        self.fully_scored.append(self.best)
        self._record_step()
        while len(self.tried) < self.budget:
            room = min(len(self.tried), self.budget - len(self.tried))
            new = list(propose(self.best, room))
            if not new:
                break
            left = self._best_by_halving(new)
            self.fully_scored.append(left)
            mean = self.trials.mean(self.best.recipe, rows)
            if self.trials.mean(left.recipe, rows) > mean + 1e-9:
                self.best = left
            self._record_step()

    def admit(self, prompt: PromptCandidate) -> bool:
        """Mark a prompt as tried; return whether it is new and leaves room for an answer."""
        name = digest(prompt.recipe)
        if name in self._digests:
            return False
        self._digests.add(name)
        try:
            check_fit(self.trials.setup, prompt.recipe)
        except DoesNotApply:
            return False
        return len(self.trials.setup.train) >= prompt.recipe.k

    def trace(self) -> dict[str, Any]:
        """Return {"search", "dev"}: each prompt tried, the best by step; the best's dev score."""
        chosen = digest(self.best.recipe)
        return {
            "search": {
                "budget": self.budget,
                "tried": [one | {"chosen": digest(one["recipe"]) == chosen} for one in self.tried],
                "steps": self.steps,
            },
            "dev": self.trials.mean(self.best.recipe, self.trials.rows),
        }

    def _best_by_halving(self, prompts: Sequence[PromptCandidate]) -> PromptCandidate:
        rows = self.trials.rows
        alive, last = list(prompts), dict[str, int]()
        for size in halving_sizes(len(rows), len(prompts)):
            ranked = sorted(alive, key=lambda p: -self.trials.mean(p.recipe, rows[:size]))
            last |= {digest(p.recipe): size for p in alive}
            alive = ranked[: math.ceil(len(ranked) / 2)] if size < len(rows) else ranked[:1]
        for prompt in prompts:
            self._record_prompt(prompt, last[digest(prompt.recipe)])
        return alive[0]

    def _record_prompt(self, prompt: PromptCandidate, n: int) -> None:
        setup, recipe = self.trials.setup, prompt.recipe
        text = recipe.specification
        mean = self.trials.mean(recipe, self.trials.rows[:n])
        self.tried.append(
            {
                "what": prompt.what,
                "text": specification(setup.task) if text is None else text,
                "recipe": recipe.plain(),
                "dev": round(mean, 6),
                "n": n,
            }
        )
        setup.say(f"prompt {len(self.tried)} of {self.budget}: {mean:.2f} on {n} ({prompt.what})")

    def _record_step(self) -> None:
        rows = self.trials.rows
        seen = self.trials.results(self.best.recipe, rows)
        scores = {case.id: trial.value for case, trial in zip(rows, seen, strict=True)}
        self.steps.append({"tried": len(self.tried), "what": self.best.what, "scores": scores})


def halving_sizes(rows: int, prompts: int) -> list[int]:
    """Return the rungs of successive halving: growing numbers of dev rows, the last all `rows`."""
    rounds = max(prompts - 1, 0).bit_length()
    sizes = [max(_RUNG_ROWS, rows >> at) for at in range(rounds, 0, -1)]
    return sorted({min(size, rows) for size in sizes} | {rows})


def dev_passes(budget: int) -> float:
    """Return how often, at most, a search with this budget answers all dev rows."""
    tried, asked = 1, 1.0
    while tried < budget:
        new = min(tried, budget - tried)
        asked += 1 + max(new - 1, 0).bit_length() / 2
        tried += new
    return asked


class _Edit(NamedTuple):
    """One change of a recipe: its name, and the new values of the fields that change."""

    name: str
    change: dict[str, Any]


def prompt_edits(setup: Setup, seed: int) -> Iterator[_Edit]:
    """Yield edits of a prompt, in turn of wordings, examples and reminders, the promising first."""
    words = [_Edit(w.name, {"specification": w.text}) for w in wordings(setup.task, setup.train)]
    shots = [_examples_edit(setup, kind, k, seed) for kind, k in _example_counts(setup.recipe)]
    again = [_Edit(w.name, {"reminder": w.text}) for w in reminders(setup.task)]
    spread = [edit for one in again for edit in (one, None)]  # reminders only every second round
    for turn in zip_longest(words, shots, spread):
        yield from (edit for edit in turn if edit is not None)


def _example_counts(start: Recipe) -> Sequence[tuple[str, int]]:
    if start.kind not in ("few", "nearest"):
        return (("nearest", 8), ("few", 8), ("nearest", 16), ("nearest", 4))
    other = "few" if start.kind == "nearest" else "nearest"
    fewer, more = max(1, start.k // 2), 2 * start.k
    return ((start.kind, more), (start.kind, fewer), (other, start.k), ("zero", 0))


def _examples_edit(setup: Setup, kind: str, k: int, seed: int) -> _Edit:
    shots = random_examples(setup.train, k, f"{seed}.search") if kind == "few" else ()
    name = f"{k} {'fixed' if kind == 'few' else kind} examples" if k else "no examples"
    return _Edit(name, {"kind": kind, "k": k, "shots": shots})


def placebo_recipe(task: Task, recipe: Recipe) -> Recipe:
    """Return the recipe with irrelevant words of equal length and shuffled example answers."""
    change: dict[str, Any] = {"shuffled": True}
    if recipe.specification is not None:
        change["specification"] = irrelevant(specification(task), recipe.specification)
    if recipe.reminder is not None:
        change["reminder"] = irrelevant("", recipe.reminder)
    return recipe.model_copy(update=change)
