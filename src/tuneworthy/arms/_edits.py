"""List edits of a prompt for a search: wording, examples, the reminder after the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from tuneworthy.core.arm import Recipe, Setup
from tuneworthy.core.task import Task
from tuneworthy.prompting.messages import specification
from tuneworthy.prompting.shots import random_examples
from tuneworthy.prompting.wordings import irrelevant, reminders, wordings


class Edit(NamedTuple):
    """One change of a recipe: its name, and the new values of the fields that change."""

    name: str
    change: dict[str, Any]


def prompt_edits(setup: Setup, seed: int) -> Iterator[Edit]:
    """Yield edits in turn: wordings, examples, reminders; the most promising of each first."""
    words = [Edit(w.name, {"specification": w.text}) for w in wordings(setup.task, setup.train)]
    shots = [_examples_edit(setup, kind, k, seed) for kind, k in _example_counts(setup.recipe)]
    again = [Edit(w.name, {"reminder": w.text}) for w in reminders(setup.task)]
    spread = [edit for one in again for edit in (one, None)]  # reminders only every second round
    for turn in zip_longest(words, shots, spread):
        yield from (edit for edit in turn if edit is not None)


def _example_counts(start: Recipe) -> Sequence[tuple[str, int]]:
    if start.kind not in ("few", "nearest"):
        return (("nearest", 8), ("few", 8), ("nearest", 16), ("nearest", 4))
    other = "few" if start.kind == "nearest" else "nearest"
    fewer, more = max(1, start.k // 2), 2 * start.k
    return ((start.kind, more), (start.kind, fewer), (other, start.k), ("zero", 0))


def _examples_edit(setup: Setup, kind: str, k: int, seed: int) -> Edit:
    shots = random_examples(setup.train, k, f"{seed}.search") if kind == "few" else ()
    name = f"{k} {'fixed' if kind == 'few' else kind} examples" if k else "no examples"
    return Edit(name, {"kind": kind, "k": k, "shots": shots})


def placebo_recipe(task: Task, recipe: Recipe) -> Recipe:
    """Return a placebo recipe of equal length: irrelevant words, shuffled example answers."""
    change: dict[str, Any] = {"shuffled": True}
    if recipe.specification is not None:
        change["specification"] = irrelevant(specification(task), recipe.specification)
    if recipe.reminder is not None:
        change["reminder"] = irrelevant("", recipe.reminder)
    return recipe.model_copy(update=change)
