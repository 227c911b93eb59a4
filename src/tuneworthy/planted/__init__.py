"""Failures of a known cause, from scripted systems without a model; one cause a file.

A file defines

    KINDS      the output types that this cause is planted in
    STYLE      "plain" | "docs" | "like": the form of its tasks' questions
    pose(world, truth, rng) -> CaseContent      (optional) a question for a case that lacks this
    answer(world, item, ask, rng) -> str        the deployed system's answer to such a case

A system is a function from a case and the active ingredients of a prompt to a text, with random
draws. Its answers are scored by the project's own metrics, so no pass is taken from a table.
"""

from tuneworthy.planted._plant import Planted, plant
from tuneworthy.planted._shape import CAUSES, VARIANTS
from tuneworthy.planted._tally import Outcome, confusion_summary, outcome, table

__all__ = [
    "CAUSES",
    "VARIANTS",
    "Outcome",
    "Planted",
    "confusion_summary",
    "outcome",
    "plant",
    "table",
]
