"""Failures of a known cause, made by scripted systems with no model; one cause a file.

A file defines

    KINDS      the output types that this cause is planted in
    STYLE      "plain" | "docs" | "like": what the questions of its tasks look like
    pose(world, truth, rng) -> Posed            (optional) a case that lacks what this cause is
    answer(world, item, ask, rng) -> str        what the deployed system says to such a case

A system is a function from a case and the active ingredients of a prompt to a text, with random
draws. What it says is scored by the project's own metrics, so nothing is a table of passes.
"""

from tuneworthy.planted._plant import Planted, plant
from tuneworthy.planted._shape import CAUSES, VARIANTS
from tuneworthy.planted._tally import Outcome, outcome, table, tally

__all__ = ["CAUSES", "VARIANTS", "Outcome", "Planted", "outcome", "plant", "table", "tally"]
