"""E4: do new facts make a model forget what it knew?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main, over_seeds, score_over_seeds
from _tuning import SEEDS, Ask, Rows, answers, own_rows

from tuneworthy.lab.claim_results import Claim, Expected, Figure
from tuneworthy.lab.failures._rows import invented_town_rows, known_city_rows

CLAIM = Claim(
    number=4,
    name="new_facts_harm_known",
    claim="Training on new facts makes a model answer known questions wrongly.",
    said="studies of fine-tuning on unknown facts, and advice drawn from them",
    prediction="After 12 epochs on invented facts known questions are answered worse than after 12 "
    "epochs on known ones, by more than 5 points; after 3 epochs by less than 10.",
    refuted_if="The late fall is not there, or the early one is larger than 10 points.",
    design="LoRA on 24 rows (all known or all invented; 3 or 12 epochs, 3 seeds); asked for the "
    "countries of the other real cities, in both wordings; a city's two questions are one group.",
    expects=(
        Expected(figure="fall by new facts, 12 epochs", above=0.05, fails_at=0.0),
        Expected(figure="fall by new facts, 3 epochs", below=0.1),
    ),
    holds_if=(
        Expected(figure="fall by new facts, 3 epochs", above=0.05),
        Expected(figure="fall by new facts, 12 epochs", above=0.05),
    ),
)
COMPARES = {
    "fall by new facts, 3 epochs": "right after 3 epochs: taught known facts minus taught new",
    "fall by new facts, 12 epochs": "right after 12 epochs: taught known facts minus taught new",
}
FOUND = (
    "After a few epochs on invented facts the model gets every known city wrong; after known "
    "facts nearly all stay right."
)
CAVEAT = (
    "Before training it scores 0 too, as it answers in sentences, which the "
    "exact metric counts as wrong."
)
REDUCED = ("no mixture of known and new rows", "fewer than 200 questions: the list of cities ends")
LEARNT = 24


def _rows() -> Rows:
    known = [[_plain(row) for row in known_city_rows(0, way)] for way in (0, 1)]
    keys = {
        "instruction": "Answer with the name of the country only.",
        "output": {"type": "text", "max_tokens": 8},
        "success": {"metric": "exact"},
    }
    novel = [_plain(row) for row in invented_town_rows(0, LEARNT, 0)]
    test = [row for rows in known for row in rows[LEARNT:]]
    return own_rows("cities", keys, {"train": [*known[0][:LEARNT], *novel], "test": test})


def _plain(row: Any) -> dict[str, str]:
    asked, place = row.messages[-1].content, row.id[:-2]  # the id ends in the number of the wording
    return {"id": row.id.replace(" ", "-"), "input": asked, "output": row.output, "group": place}


def collect() -> dict[str, Any]:
    """Return the scores before training, and after each kind of training by seed."""
    rows = _rows()
    parts = {"known": rows.pool[:LEARNT], "new": rows.pool[LEARNT:]}
    data: dict[str, Any] = {"before": answers(rows, Ask("zero_shot"))["heats"]["0"]["scores"]}
    for epochs in (3, 12):
        for kind, part in parts.items():
            asks = [Ask("lora", 0, seed, {"epochs": epochs, "batch": 8}, train=tuple(part))
                    for seed in SEEDS]  # fmt: skip
            found = [answers(rows, ask)["heats"]["0"]["scores"] for ask in asks]
            data[f"{kind} {epochs}"] = found
    return {**data, "groups": [case.group for case in rows.test]}


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the scores, and what new facts cost against as many known ones."""
    groups, n = data["groups"], len(data["groups"])
    out = [figure("before training", score_over_seeds(data["before"], groups), n)]
    for epochs in (3, 12):
        known, new = (np.array(data[f"{kind} {epochs}"], float) for kind in ("known", "new"))
        for name, scores in (("known", known), ("new", new)):
            shown = f"after {name} facts, {epochs} epochs"
            out.append(figure(shown, score_over_seeds(scores, groups), n, len(SEEDS)))
        out.append(figure(f"fall by new facts, {epochs} epochs", over_seeds(known - new, groups), n,
                          len(SEEDS)))  # fmt: skip
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
