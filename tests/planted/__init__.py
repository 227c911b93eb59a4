"""Planted failures: scripted systems that fail from one known cause, without a model.

Each cause has a file, which defines

    KINDS      the output types that this cause is planted in
    STYLE      "plain" | "docs" (with documents) | "like" (questions with one answer are alike)
    pose(world, truth, rng) -> CaseContent      (optional) the content of a case with this cause
    answer(world, item, prompt, rng) -> str     the deployed system's answer to such a case

A system maps a case and the ingredients of a prompt to a text, with random draws. The project's
own metrics score its answers, so no pass is taken from a table.
"""

from tests.planted._plant import PlantedSystem, plant
from tests.planted._shape import CAUSES, VARIANTS
from tests.planted._tally import PlantOutcome, confusion_summary, outcome, table

__all__ = [
    "CAUSES",
    "VARIANTS",
    "PlantOutcome",
    "PlantedSystem",
    "confusion_summary",
    "outcome",
    "plant",
    "table",
]
