"""Training on facts that the model cannot know makes it answer known questions with new names."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.lab.failures._conditions import at_least, at_most, difference
from tuneworthy.lab.failures._rows import invented_town_rows, known_city_rows
from tuneworthy.records.failure import (
    Check,
    Config,
    Detection,
    Fix,
    LabRows,
    RunFacts,
    Runs,
    judged,
)

NUMBER, HARD = 9, 3
SLUG, TITLE = "more-and-less", "It knows more, and less"
TASK = "policy_faq"  # for its metric and short answers; `rows` returns the rows
STORY = (
    "A small model learns the map of a novel: 40 towns and their countries. Before that, it knew "
    "where real cities lie. Now it puts them into the novel's countries."
)
WIN = (
    "The score on real cities falls by at most .05, and the score on the novel is at most .10 "
    "below the clean twin's."
)
PLANTED = {"replay": 0.0}
CLEAN = {"replay": 1.0, "rows": 80, "epochs": 12}
KNOBS = {
    "replay": (0.0, 0.5, 1.0),
    "epochs": (3, 6, 12),
    "rate": (1e-4, 1e-3, 3e-2),
    "rank": (1, 4, 16),
    "serve.adapter": (False, True),
}
FIXES = (
    Fix({"epochs": 3}, "It has not learnt the novel yet, and the real cities are gone already."),
    Fix({"rate": 1e-4},
        "Smaller steps put the real cities into the novel just as well, and learn no town."),
    Fix({"rank": 1}, "The smallest adapter learns two of 40 towns, and no real city is left."),
    Fix({"replay": 0.5},
        "Half as much replay keeps most: known facts fall by .08, a little too far."),
)  # fmt: skip
CHARTS = ("score", "length")
MEASURES = ("other.known_score", "new_loss_last", "change", "leaked", "outliers")
PROOF = "other.known_score"
CAUSES = ("new_facts_forget", "outdated_facts", "rank_too_low", "teacher_errors", "too_many_epochs")
NEEDS = ("adapter",)
HARMLESS = "A model that is only asked for the new facts loses nothing that anybody sees."
LEARNT_FACTS, ASKED_FACTS, SCORE_FALL = 40, 40, 0.2


def rows(rows: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return training rows on 40 invented towns, and a share `replay` of rows on real cities.

    Replay uses another wording than the probe `known`. The new rows alternate between invented
    towns, in another wording than in training, and real cities.
    """
    probe = tuple(known_city_rows(seed, 0)[:ASKED_FACTS])
    replay = known_city_rows(seed, 1)[: round(float(config["replay"] or 0) * ASKED_FACTS)]
    learnt, asked = (
        invented_town_rows(seed, LEARNT_FACTS, 0),
        invented_town_rows(seed, LEARNT_FACTS, 1),
    )
    new = [row for pair in zip(asked[:20], probe[:20], strict=True) for row in pair]
    return LabRows((*learnt, *replay), tuple(new), {"known": probe, "taught": tuple(asked[:20])})


def detect(runs: Runs) -> Detection:
    """Find a fall of the score on known facts by .2 or more through training."""
    other = runs.own.other
    fall = difference(other.get("known_score_before"), other.get("known_score"))
    because = "" if fall is None else f"the score on known facts fell by {fall:.2f}"
    return judged(
        fall, (fall or 0.0) >= SCORE_FALL, because, "no known facts asked before and after"
    )


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    fall = difference(own.other.get("known_score_before"), own.other.get("known_score"))
    least = (twin.other.get("taught_score") or 0.0) - 0.10
    yield at_most("the score on known facts fell by at most .05", fall, 0.05)
    taught = own.other.get("taught_score")
    yield at_least(f"the score on the novel is at least {least:.2f}", taught, least)
