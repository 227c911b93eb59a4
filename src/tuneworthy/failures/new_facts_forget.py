"""Training on facts that the model cannot know makes it answer known questions with new names."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.core.failure import (
    Check,
    Config,
    Detection,
    LabRows,
    LabSetup,
    RunFacts,
    Runs,
    judged,
)
from tuneworthy.failures._conditions import at_least, at_most, difference
from tuneworthy.failures._places import known_rows, novel_rows

NUMBER, HARD = 9, 3
SLUG, TITLE = "more-and-less", "It knows more, and less"
TASK = "policy_faq"  # its metric and its short answers; the rows are those below
STORY = (
    "A small model learns the map of a novel: 40 towns and their countries. Before, it knew where "
    "real cities lie. Now it puts them into the novel."
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
CHARTS = ("score", "length")
MEASURES = ("other.known_score", "new_loss_last", "change", "leaked", "outliers")
PROOF = "other.known_score"
CAUSES = ("new_facts_forget", "too_many_epochs", "rate_too_high", "rank_too_low", "wrong_labels")
NEEDS = ("adapter",)
HARMLESS = "A model that is only asked for the new facts loses nothing that anybody sees."
LEARNT_FACTS, ASKED_FACTS, SCORE_FALL = 40, 40, 0.2


def rows(rows: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return the 40 facts of the novel, and a share of the known ones for replay.

    Replay asks in another wording than the probe. The new rows ask in turn for a town of the novel,
    in a wording of their own, and a real city.
    """
    probe = tuple(known_rows(seed, 0)[:ASKED_FACTS])
    replay = known_rows(seed, 1)[: round(float(config["replay"] or 0) * ASKED_FACTS)]
    learnt, asked = novel_rows(seed, LEARNT_FACTS, 0), novel_rows(seed, LEARNT_FACTS, 1)
    new = [row for pair in zip(asked[:20], probe[:20], strict=True) for row in pair]
    return LabRows((*learnt, *replay), tuple(new), {"known": probe, "taught": tuple(asked[:20])})


def plant(setup: LabSetup) -> LabSetup:
    """Return the setup that trains on the novel alone."""
    return setup.with_config(PLANTED)


def fix(setup: LabSetup) -> LabSetup:
    """Return the setup that trains on known facts as well."""
    return setup.with_config(CLEAN)


def detect(runs: Runs) -> Detection:
    """Find known facts that the model answered before training and no longer answers."""
    other = runs.own.other
    fall = difference(other.get("known_score_before"), other.get("known_score"))
    because = "" if fall is None else f"the score on known facts fell by {fall:.2f}"
    return judged(
        fall, (fall or 0.0) >= SCORE_FALL, because, "no known facts asked before and after"
    )


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the conditions of a repaired run."""
    fall = difference(own.other.get("known_score_before"), own.other.get("known_score"))
    least = (twin.other.get("taught_score") or 0.0) - 0.10
    yield at_most("the score on known facts fell by at most .05", fall, 0.05)
    taught = own.other.get("taught_score")
    yield at_least(f"the score on the novel is at least {least:.2f}", taught, least)
